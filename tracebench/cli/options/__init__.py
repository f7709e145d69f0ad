"""The options of the commands: each is declared once, with its type and the field it fills."""
