"""A policy watched at fixed pairs while it trains."""
