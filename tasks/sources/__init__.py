"""Sources that are not here: databases, object stores, the web, a hub. A snapshot of one is what `data.path` names."""
