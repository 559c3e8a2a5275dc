package admin

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"thymus/pdp/policy"
)

// etag is the entity tag of a policy: the number of its revision, and of one that has none the digest of its text.
func etag(p *policy.Policy) string {
	if p.Revision > 0 {
		return `"` + strconv.FormatUint(p.Revision, 10) + `"`
	}
	return `"` + p.Digest[:32] + `"`
}

// precondition is what If-Match and If-None-Match ask for (RFC 9110, 13.1). It belongs to one request.
type precondition struct {
	match, none []string
	bare        bool   // something in them is no entity tag, a number without quotes say: no change is made by guessing
	seen        string // the tag that did not hold; empty where there was no policy
}

// readPrecondition reads the two headers.
func readPrecondition(r *http.Request) *precondition {
	c := &precondition{match: r.Header.Values("If-Match"), none: r.Header.Values("If-None-Match")}
	for _, values := range [...][]string{c.match, c.none} {
		for _, v := range values {
			for s := range strings.SplitSeq(v, ",") {
				s = strings.TrimSpace(s)
				c.bare = c.bare || s != "*" && !isTag(strings.TrimPrefix(s, "W/"))
			}
		}
	}
	return c
}

func isTag(s string) bool {
	return len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' && !strings.Contains(s[1:len(s)-1], `"`)
}

// condition is the precondition as the store asks it; nil where there is none.
func (c *precondition) condition() policy.Condition {
	if len(c.match) == 0 && len(c.none) == 0 {
		return nil
	}
	return func(p *policy.Policy) bool {
		c.seen = ""
		if p != nil {
			c.seen = etag(p)
		}
		if c.bare || len(c.match) > 0 && !listsTag(c.match, c.seen, false) {
			return false
		}
		return len(c.none) == 0 || !listsTag(c.none, c.seen, true)
	}
}

// failed answers with an error of a change that was made under a precondition.
func (c *precondition) failed(s *Server, w http.ResponseWriter, err error) {
	if !errors.Is(err, policy.ErrStale) {
		s.failed(w, err)
		return
	}
	is := "there is none now"
	if c.seen != "" {
		is = "its entity tag is " + c.seen
		w.Header().Set("ETag", c.seen)
	}
	detail := err.Error() + ": " + is
	if c.bare {
		detail = `expected entity tags in quotes, such as "3", or *: ` + is
	}
	Fail(w, http.StatusPreconditionFailed, detail)
}

// listsTag says whether a list of entity tags holds one, or is *, which any tag matches and the absence of one (an
// empty tag) does not. A weak tag only counts where weak comparison is asked for.
func listsTag(values []string, tag string, weak bool) bool {
	if tag == "" {
		return false
	}
	for _, v := range values {
		for s := range strings.SplitSeq(v, ",") {
			s = strings.TrimSpace(s)
			if weak {
				s = strings.TrimPrefix(s, "W/")
			}
			if s == "*" || s == tag {
				return true
			}
		}
	}
	return false
}

// prefersText says whether text/plain is what a client asks for: it names it, and JSON not before it.
func prefersText(accept []string) bool {
	for _, v := range accept {
		for s := range strings.SplitSeq(v, ",") {
			media, params, _ := strings.Cut(s, ";")
			if strings.ReplaceAll(params, " ", "") == "q=0" {
				continue
			}
			switch strings.ToLower(strings.TrimSpace(media)) {
			case "text/plain":
				return true
			case typeJSON, "application/*", "*/*":
				return false
			}
		}
	}
	return false
}
