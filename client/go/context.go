package tlsagent

import (
	"context"
	"errors"
	"runtime"
	"sync"

	v1 "tlsagent/internal/tlsagentv1"
)

// A tlsContext is the daemon's side of a Config, in one role.
type tlsContext struct {
	link   *link
	handle uint64
	once   sync.Once
}

// context gives the daemon's side of the Config. When ctx ends first, the call goes on by itself, for others.
func (c *Config) context(ctx context.Context, end role) (*tlsContext, error) {
	type outcome struct {
		made *tlsContext
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		made, err := c.contextNow(end)
		done <- outcome{made, err}
	}()
	select {
	case is := <-done:
		return is.made, is.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// contextNow makes it the first time, and when the daemon is another one.
func (c *Config) contextNow(end role) (*tlsContext, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx := context.Background()
	link, err := c.agent().connect(ctx)
	if err != nil {
		return nil, err
	}
	if have := c.contexts[end]; have != nil && have.link == link {
		return have, nil
	}
	made, err := c.makeContext(ctx, link, end)
	if err != nil {
		return nil, err
	}
	if c.contexts == nil {
		c.contexts = make(map[role]*tlsContext)
	}
	c.contexts[end] = made
	return made, nil
}

func (c *Config) makeContext(ctx context.Context, link *link, end role) (*tlsContext, error) {
	if err := c.check(end); err != nil {
		return nil, err
	}
	handle, err := uint64(0), error(nil)
	if c.Context != "" {
		handle, err = openContext(ctx, link, c.Context)
	} else {
		handle, err = c.createContext(ctx, link, end)
	}
	if err != nil {
		return nil, err
	}
	made := &tlsContext{link: link, handle: handle}
	runtime.SetFinalizer(made, func(unused *tlsContext) { go unused.release() })
	return made, nil
}

func openContext(ctx context.Context, link *link, name string) (uint64, error) {
	answer := &v1.OpenContextResponse{}
	err := link.call(ctx, "ContextService.Open", &v1.OpenContextRequest{Name: name}, answer)
	return answer.GetContext(), err
}

func (c *Config) createContext(ctx context.Context, link *link, end role) (uint64, error) {
	request, err := c.request(end)
	if err != nil {
		return 0, err
	}
	if c.SessionTicketsDisabled && end == roleServer {
		if err := withoutTickets(ctx, link, request); err != nil {
			return 0, err
		}
	}
	answer := &v1.CreateContextResponse{}
	if err := link.call(ctx, "ContextService.Create", request, answer); err != nil {
		return 0, err
	}
	if answer.GetError() != nil {
		return 0, newError("config", answer.GetError())
	}
	return answer.GetContext(), nil
}

// withoutTickets has a server give no tickets, of either kind, and keep no sessions.
func withoutTickets(ctx context.Context, link *link, request *v1.CreateContextRequest) error {
	info := &v1.InfoResponse{}
	if err := link.call(ctx, "AgentService.Info", &v1.InfoRequest{}, info); err != nil {
		return err
	}
	options, err := serverOptions(info)
	if err != nil {
		return err
	}
	request.Settings.Options = &v1.UInt64Value{Value: options}
	request.Settings.NumTickets = &v1.UInt32Value{}
	request.Settings.SessionCacheSize = &v1.UInt32Value{}
	return nil
}

// serverOptions gives the options that a server has by default, with that against tickets.
func serverOptions(info *v1.InfoResponse) (uint64, error) {
	for _, constant := range info.GetConstants() {
		for _, defaults := range info.GetContextDefaults() {
			if constant.GetName() == "SSL_OP_NO_TICKET" && defaults.GetKind() == v1.ContextKind_CONTEXT_KIND_SERVER {
				return defaults.GetSettings().GetOptions().GetValue() | uint64(constant.GetValue()), nil
			}
		}
	}
	return 0, errors.New("tlsagent: this daemon doesn't say how tickets are disabled: leave SessionTicketsDisabled unset")
}

// release drops the daemon's handle, once. Sessions that were made from it go on.
func (t *tlsContext) release() {
	t.once.Do(func() {
		t.link.call(context.Background(), "ContextService.Release", &v1.ReleaseContextRequest{Context: t.handle},
			&v1.ReleaseContextResponse{})
	})
}
