package rules

import (
	"context"
	"errors"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
)

// fixedStore is the data of a Set as OPA reads it: one value that never changes, so that reading takes no lock, and in
// OPA's own terms, so that reading converts nothing.
type fixedStore struct {
	storage.TriggersNotSupported
	root ast.Value
}

var errFixed = errors.New("the data of a loaded set does not change")

func (s *fixedStore) NewTransaction(context.Context, ...storage.TransactionParams) (storage.Transaction, error) {
	return fixedTxn{}, nil
}

// Read finds the value at path. An array's elements are addressed by their decimal index.
func (s *fixedStore) Read(_ context.Context, _ storage.Transaction, path storage.Path) (any, error) {
	v := s.root
	for _, key := range path {
		var t *ast.Term
		switch c := v.(type) {
		case ast.Object:
			t = c.Get(ast.InternedTerm(key))
		case *ast.Array:
			if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < c.Len() && strconv.Itoa(i) == key {
				t = c.Elem(i)
			}
		}
		if t == nil {
			return nil, &storage.Error{Code: storage.NotFoundErr, Message: "no such document"}
		}
		v = t.Value
	}
	return v, nil
}

func (s *fixedStore) Write(context.Context, storage.Transaction, storage.PatchOp, storage.Path, any) error {
	return errFixed
}
func (s *fixedStore) Commit(context.Context, storage.Transaction) error { return nil }
func (s *fixedStore) Abort(context.Context, storage.Transaction)        {}
func (s *fixedStore) Truncate(context.Context, storage.Transaction, storage.TransactionParams, storage.Iterator) error {
	return errFixed
}
func (s *fixedStore) ListPolicies(context.Context, storage.Transaction) ([]string, error) {
	return nil, nil
}
func (s *fixedStore) GetPolicy(context.Context, storage.Transaction, string) ([]byte, error) {
	return nil, &storage.Error{Code: storage.NotFoundErr}
}
func (s *fixedStore) UpsertPolicy(context.Context, storage.Transaction, string, []byte) error {
	return errFixed
}
func (s *fixedStore) DeletePolicy(context.Context, storage.Transaction, string) error {
	return errFixed
}

type fixedTxn struct{}

func (fixedTxn) ID() uint64 { return 1 }
