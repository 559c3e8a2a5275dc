//go:build race

package extauthz_test

const race = true
