"""Map the spans that servers emit to components: rules as data, one TOML file per server."""
