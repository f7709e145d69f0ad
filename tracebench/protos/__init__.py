"""The wire interfaces: .proto files, and the Python made from them by `make protos`."""
