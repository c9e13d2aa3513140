"""What the tests stand on: servers, real processes, a browser."""
