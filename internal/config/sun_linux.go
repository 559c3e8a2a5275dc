package config

const maxSocketPath = 107 // sun_path and its final zero: unix(7)
