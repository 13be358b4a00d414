"""Image files as bytes, for `restore_jax.io`: one file a format or subject, errors are ValueErrors with the reason."""
