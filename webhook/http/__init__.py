"""The webhook's HTTP: routes, access control, pages."""
