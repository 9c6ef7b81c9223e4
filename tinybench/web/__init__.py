"""What both HTTP services share: the log of requests, its formats, and limits of connections."""
