package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Times of fetching.
const (
	fetchTime = 10 * time.Second
	retryTime = 5 * time.Second // after a failure, doubled up to Refresh; and between two fetches that tokens asked for
)

// client is what keys are fetched with.
func client() *http.Client {
	return &http.Client{
		Timeout: fetchTime,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Scheme != "https" || len(via) > 5 {
				return errors.New("a redirect away from https")
			}
			return nil
		},
	}
}

// run fetches again every Refresh, and when a token named a key that is not known.
func (v *Verifier) run(ctx context.Context) {
	pause := retryTime
	next := v.o.Refresh
	if v.keys.Load() == nil {
		next = pause
	}
	last := time.Now()
	for {
		t := time.NewTimer(next)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		case <-v.wanted:
			t.Stop()
			if wait := retryTime - time.Since(last); wait > 0 {
				if !sleep(ctx, wait) {
					return
				}
			}
		}
		last = time.Now()
		err := v.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		if v.o.Report(v.o.JWKS, err); err != nil {
			next, pause = pause, min(2*pause, v.o.Refresh)
			continue
		}
		next, pause = v.o.Refresh, retryTime
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// fetch asks once. The last good keys stay where it fails.
func (v *Verifier) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, v.o.JWKS, nil)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := v.o.Client.Do(r)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxSet+1))
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("keys: %s answered %s", v.o.JWKS, resp.Status)
	}
	s, err := parseKeys(text)
	if err != nil {
		return fmt.Errorf("keys from %s: %w", v.o.JWKS, err)
	}
	v.keys.Store(s)
	return nil
}
