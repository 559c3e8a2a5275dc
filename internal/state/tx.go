package state

import (
	"bytes"

	"go.etcd.io/bbolt"

	"thymus/pdp"
)

// transaction implements pdp.Tx. Buckets are made when they are first written.
type transaction struct {
	tx   *bbolt.Tx
	keep bool // events are stored; false where nobody publishes them
}

func (t *transaction) Get(bucket, key string) []byte {
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	return b.Get([]byte(key))
}

func (t *transaction) Put(bucket, key string, value []byte) error {
	b, err := t.tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return err
	}
	return b.Put([]byte(key), value)
}

func (t *transaction) Delete(bucket, key string) error {
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	return b.Delete([]byte(key))
}

func (t *transaction) Each(bucket, prefix string, f func(key string, value []byte) error) error {
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	c, p := b.Cursor(), []byte(prefix)
	for k, v := c.Seek(p); k != nil && bytes.HasPrefix(k, p); k, v = c.Next() {
		if err := f(string(k), v); err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) Owe(c pdp.Class, e *pdp.Event) error {
	if !t.keep {
		return nil
	}
	b := t.tx.Bucket(owedBucket)
	n, err := b.NextSequence()
	if err != nil {
		return err
	}
	return b.Put(number(n), pdp.AppendEvent([]byte{byte(c)}, e))
}
