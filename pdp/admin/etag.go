package admin

import (
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

// condition is what If-Match and If-None-Match ask for (RFC 9110, 13.1); nil where they are absent.
func condition(r *http.Request) policy.Condition {
	match, none := r.Header.Values("If-Match"), r.Header.Values("If-None-Match")
	if len(match) == 0 && len(none) == 0 {
		return nil
	}
	return func(p *policy.Policy) bool {
		tag := ""
		if p != nil {
			tag = etag(p)
		}
		if len(match) > 0 && !listsTag(match, tag, false) {
			return false
		}
		return len(none) == 0 || !listsTag(none, tag, true)
	}
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
