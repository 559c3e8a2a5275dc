package token

import "net/http"

// ParseKeys reads a JWKS document, for tests.
func ParseKeys(text []byte) error {
	_, err := parseKeys(text)
	return err
}

// Slots is how many tokens are remembered at most, for tests.
const Slots = cacheSlots

// Client is what keys are fetched with, for tests.
func Client() *http.Client { return client() }
