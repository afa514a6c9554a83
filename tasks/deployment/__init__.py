"""The thing that ships: export, parity, quantisation, bundle, gate."""
