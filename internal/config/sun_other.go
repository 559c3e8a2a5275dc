//go:build !linux

package config

const maxSocketPath = 103 // sun_path and its final zero, on the BSDs and darwin
