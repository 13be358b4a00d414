"""Parameter trees: nested dicts of arrays, and the same with one key for each array."""


def flatten(tree: dict, prefix: str = "") -> dict:
    """Flatten a nested dict to {"a/b/c": leaf}."""
    flat = {}
    for name, value in tree.items():
        flat.update(flatten(value, f"{prefix}{name}/") if isinstance(value, dict) else {f"{prefix}{name}": value})
    return flat


def unflatten(flat: dict) -> dict:
    """Turn {"a/b/c": leaf} into a nested dict. Raises ValueError if a name is both a leaf and a dict."""
    tree = {}
    for name, value in flat.items():
        *path, leaf = name.split("/")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ValueError(f"{name!r} lies below a leaf")
        if leaf in node:
            raise ValueError(f"{name!r} is twice there")
        node[leaf] = value
    return tree
