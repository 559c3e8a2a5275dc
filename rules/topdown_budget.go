package rules

import (
	"context"
	"sync"
	"time"

	"thymus/pdp"
)

// budgetContext is a context that ends when the call's budget is spent. Only builtins that wait for something outside,
// where the operator allows them, ever ask for Done; nobody else pays for it.
type budgetContext struct {
	context.Context
	budget *pdp.Budget
	once   sync.Once
	ended  chan struct{} // closed by the watcher once the budget is spent
	over   chan struct{} // closed when the call returns
}

// withBudget makes the context of one evaluation; the function must be called when that has returned.
func withBudget(b *pdp.Budget) (context.Context, func()) {
	c := &budgetContext{Context: context.Background(), budget: b}
	return c, c.close
}

func (c *budgetContext) close() {
	c.once.Do(func() {})
	if c.over != nil {
		close(c.over)
	}
}

// Done starts the watcher at the first call.
func (c *budgetContext) Done() <-chan struct{} {
	c.once.Do(func() {
		c.ended, c.over = make(chan struct{}), make(chan struct{})
		go func() {
			t := time.NewTicker(time.Millisecond)
			defer t.Stop()
			for {
				select {
				case <-c.over:
					return
				case <-t.C:
					if c.budget.Stopped() {
						close(c.ended)
						return
					}
				}
			}
		}()
	})
	return c.ended
}

// Err is DeadlineExceeded once the budget is spent.
func (c *budgetContext) Err() error {
	if c.budget.Stopped() {
		return context.DeadlineExceeded
	}
	return nil
}
