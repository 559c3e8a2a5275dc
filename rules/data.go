package rules

import (
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// generatedRoot is the key below data under which the merged rules lie. No package can have it, since the first part of
// a package's path is an identifier; data and references are checked.
const generatedRoot = "thymus.match"

// dataTree is the data of all files, merged, with the file that each part came from.
type dataTree struct {
	file string
	leaf *node
	kids map[string]*dataTree
}

// add merges a document at a path. Two files may fill one object, but no two may give one value.
func (t *dataTree) add(file string, path []string, doc *node, problems *Problems) {
	if len(path) == 0 && doc.kind != pdp.Object {
		problems.add(Problem{File: file, Line: doc.line, Column: doc.col,
			Detail: "data at the top must be an object, found " + kindName(doc.kind)})
		return
	}
	at := t
	for i, key := range path {
		if at = at.kid(key, file); at.leaf != nil {
			problems.add(Problem{File: file, Line: doc.line, Column: doc.col, Field: "data." + strings.Join(path[:i+1], "."),
				Detail: "already has a value from " + at.file + " that is no object"})
			return
		}
	}
	at.merge(file, path, doc, problems)
}

func (t *dataTree) kid(key, file string) *dataTree {
	k := t.kids[key]
	if k == nil {
		k = &dataTree{file: file}
		if t.kids == nil {
			t.kids = map[string]*dataTree{}
		}
		t.kids[key] = k
	}
	return k
}

func (t *dataTree) merge(file string, path []string, doc *node, problems *Problems) {
	fresh := t.leaf == nil && t.kids == nil && len(path) > 0
	if doc.kind != pdp.Object {
		if t.leaf == nil && t.kids == nil {
			t.file, t.leaf = file, doc
			return
		}
	} else if t.leaf == nil {
		if fresh {
			t.kids = make(map[string]*dataTree, len(doc.members))
		}
		for i := range doc.members {
			m := &doc.members[i]
			if len(path) == 0 && m.key == generatedRoot {
				problems.add(Problem{File: file, Line: m.line, Column: m.col, Detail: "the key " + strconv.Quote(m.key) + " is reserved"})
				continue
			}
			kid := t.kids[m.key]
			if kid == nil {
				kid = t.kid(m.key, file)
			} else if kid.leaf == nil && kid.kids == nil {
				// an object that was empty so far
				kid.file = file
			}
			kid.merge(file, append(path[:len(path):len(path)], m.key), m.value, problems)
		}
		return
	}
	problems.add(Problem{File: file, Line: doc.line, Column: doc.col, Field: "data." + strings.Join(path, "."),
		Detail: "already has a value from " + t.file})
}

// value is the data as OPA's.
func (t *dataTree) value() ast.Value {
	if t.leaf != nil {
		return t.leaf.value()
	}
	terms := make([][2]*ast.Term, 0, len(t.kids))
	for _, k := range sortedKeys(t.kids) {
		terms = append(terms, [2]*ast.Term{ast.StringTerm(k), ast.NewTerm(t.kids[k].value())})
	}
	return ast.NewObject(terms...)
}

// has says whether there is data at a path.
func (t *dataTree) has(path []string) bool {
	for i, key := range path {
		if t.leaf != nil {
			if t.leaf.kind == pdp.Array {
				n, err := strconv.Atoi(key)
				if err != nil || n < 0 || n >= len(t.leaf.items) {
					return false
				}
				return (&dataTree{leaf: t.leaf.items[n]}).has(path[i+1:])
			}
			if t = (&dataTree{leaf: t.leaf.get(key)}); t.leaf == nil {
				return false
			}
			continue
		}
		if t = t.kids[key]; t == nil {
			return false
		}
	}
	return true
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
