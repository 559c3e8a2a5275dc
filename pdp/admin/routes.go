package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route answers one method at the paths of one shape.
type route struct {
	method string
	shape  []string // segments; {name} stands for one that is not empty
	open   bool     // asks for no token
	serve  http.HandlerFunc
}

// routes is the table. Where a path is the literal shape of a route, shapes with names do not count for it: what is not
// served at /v1/policies/stats is not a policy of that id either.
type routes []route

// add mounts a handler at a shape such as "/v1/policies/{id}". What a name in braces stands for is the request's
// PathValue, its percent-encoding undone.
func (rs *routes) add(method, shape string, serve http.HandlerFunc) {
	*rs = append(*rs, route{method: method, shape: strings.Split(shape, "/"), serve: serve})
}

// addOpen is add for what asks for no token.
func (rs *routes) addOpen(method, shape string, serve http.HandlerFunc) {
	rs.add(method, shape, serve)
	(*rs)[len(*rs)-1].open = true
}

// find is the route of a request, by the raw target; without one, the methods that its path would take.
func (rs routes) find(r *http.Request) (*route, string) {
	segs := strings.Split(rawPath(r.RequestURI), "/")
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var allow []string
	literal := slices.ContainsFunc(rs, func(x route) bool { return slices.Equal(x.shape, segs) })
	for i := range rs {
		names, ok := rs[i].fits(segs)
		if !ok || literal && len(names) > 0 {
			continue
		}
		if rs[i].method != method {
			allow = append(allow, rs[i].method)
			if rs[i].method == http.MethodGet {
				allow = append(allow, http.MethodHead)
			}
			continue
		}
		for j := 0; j < len(names); j += 2 {
			r.SetPathValue(names[j], names[j+1])
		}
		return &rs[i], ""
	}
	slices.Sort(allow)
	return nil, strings.Join(slices.Compact(allow), ", ")
}

func (r *route) fits(segs []string) (names []string, ok bool) {
	if len(segs) != len(r.shape) {
		return nil, false
	}
	for i, want := range r.shape {
		if !strings.HasPrefix(want, "{") {
			if segs[i] != want {
				return nil, false
			}
			continue
		}
		v, err := url.PathUnescape(segs[i])
		if err != nil || v == "" {
			return nil, false
		}
		names = append(names, strings.Trim(want, "{}"), v)
	}
	return names, true
}

// rawPath is the path of a request target (RFC 9112, 3.2) as it was sent.
func rawPath(target string) string {
	if !strings.HasPrefix(target, "/") {
		_, rest, ok := strings.Cut(target, "://")
		if !ok {
			return target
		}
		i := strings.IndexAny(rest, "/?")
		if i < 0 || rest[i] == '?' {
			return "/"
		}
		target = rest[i:]
	}
	path, _, _ := strings.Cut(target, "?")
	return path
}
