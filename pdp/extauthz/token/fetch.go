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
	firstTime = 3 * time.Second // for the first fetch, which the start waits for
	fetchTime = 10 * time.Second
	retryTime = 5 * time.Second // after a failure, doubled up to Refresh
	askedTime = 5 * time.Second // between two fetches that tokens asked for, doubled up to longTime while they bring nothing new
	longTime  = time.Minute
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

// run fetches again every Refresh, and when a token named a key that is not known: soon, and once for all that ask
// meanwhile. Who shows tokens of no known key at any rate cannot make that more than one fetch in askedTime, and one a
// minute after a while.
func (v *Verifier) run(ctx context.Context) {
	next, failed, asked := v.o.Refresh, retryTime, askedTime
	if v.keys.Load() == nil {
		next = failed
	}
	last := time.Now()
	for {
		wanted := false
		t := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-v.wanted:
			wanted = true
			sleep(ctx, asked-time.Since(last))
			select {
			case <-v.wanted: // whoever asked while we slept
			default:
			}
		}
		t.Stop()
		if ctx.Err() != nil {
			return
		}
		last = time.Now()
		changed, err := v.fetch(ctx, fetchTime)
		if ctx.Err() != nil {
			return
		}
		v.o.Report(changed, err)
		switch {
		case changed:
			asked = askedTime
		case wanted:
			asked = min(2*asked, max(askedTime, min(longTime, v.o.Refresh)))
		}
		if err != nil {
			next, failed = failed, min(2*failed, v.o.Refresh)
		} else {
			next, failed = v.o.Refresh, retryTime
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// fetch asks once, and says whether other keys came. The last good ones stay where it fails.
func (v *Verifier) fetch(ctx context.Context, within time.Duration) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, v.o.JWKS, nil)
	if err != nil {
		return false, fmt.Errorf("keys: %w", err)
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := v.o.Client.Do(r)
	if err != nil {
		return false, fmt.Errorf("keys: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxSet+1))
	if err != nil {
		return false, fmt.Errorf("keys: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("keys: %s answered %s", v.o.JWKS, resp.Status)
	}
	s, err := parseKeys(text)
	if err != nil {
		return false, fmt.Errorf("keys from %s: %w", v.o.JWKS, err)
	}
	v.fetched.Store(v.o.Now().UnixNano())
	return v.adopt(s), nil
}
