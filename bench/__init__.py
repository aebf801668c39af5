"""How fast and how small: measures beside a peer, each in a module that runs alone (`python -m bench.scrape`)."""
