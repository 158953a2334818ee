package central

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// errNotSent is returned by a write that was not allowed to begin.
var errNotSent = errors.New("the request may not be sent any more")

// sendOnce decides whether the one request on its one connection may leave. The
// answer can't change while bytes are handed over: both happen under its lock.
type sendOnce struct {
	by     time.Time
	now    func() time.Time
	onLeft func() // called once, when the first byte is about to leave

	mu     sync.Mutex
	dialed bool
	barred bool
	begun  bool // the request's first byte was handed to the connection, or to what encrypts it
	left   bool // a byte of it may have left
}

// late reports whether the time is up by the monotonic or by the wall clock: the
// one stands still while a machine sleeps, the other can be set back.
func (s *sendOnce) late() bool {
	now := s.now()
	return !now.Before(s.by) || !now.Round(0).Before(s.by.Round(0))
}

// bar forbids sending from now on, unless a byte has left.
func (s *sendOnce) bar() (barred bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left {
		s.barred = true
	}
	return s.barred
}

// dialOnce lets one connection be opened, ever.
func (s *sendOnce) dialOnce(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), network, address string) (net.Conn, error) {
	s.mu.Lock()
	again := s.dialed || s.barred
	s.dialed = true
	s.mu.Unlock()
	if again {
		return nil, errNotSent
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// What was not delivered when the connection is closed, or this process
		// dies, is thrown away and not delivered later.
		_ = tcp.SetLinger(0)
	}
	_ = conn.SetWriteDeadline(time.Now().Add(s.by.Sub(s.now())))
	return conn, nil
}

// outer is the connection as HTTP sees it: what is written here is the request.
type outer struct {
	net.Conn
	once *sendOnce
}

// Write marks the request as begun, then writes it.
func (o outer) Write(b []byte) (int, error) {
	o.once.mu.Lock()
	o.once.begun = true
	o.once.mu.Unlock()
	return o.Conn.Write(b)
}

// inner is the connection as the network sees it. No write begins after the time
// is up: neither the request's, nor the handshake's before it.
type inner struct {
	net.Conn
	once *sendOnce
}

// Write hands bytes to the network, or refuses.
func (i inner) Write(b []byte) (int, error) {
	s := i.once
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.barred || s.late() {
		if !s.left {
			s.barred = true
		}
		return 0, errNotSent
	}
	if s.begun && !s.left {
		s.left = true
		s.onLeft()
	}
	return i.Conn.Write(b)
}

// plain opens the connection for http, or to a proxy. Through a proxy it is not
// known here which bytes are the request's, so every one counts as such.
func (s *sendOnce) plain(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := s.dialOnce(ctx, dial, network, address)
		if err != nil {
			return nil, err
		}
		return outer{inner{conn, s}, s}, nil
	}
}

// secure opens the connection for https: the handshake is done before anything
// of the request exists.
func (s *sendOnce) secure(dial func(context.Context, string, string) (net.Conn, error), conf *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := s.dialOnce(ctx, dial, network, address)
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		mine := conf.Clone()
		if mine == nil {
			mine = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		mine.ServerName, mine.NextProtos = host, []string{"http/1.1"}
		crypted := tls.Client(inner{conn, s}, mine)
		if err := crypted.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return outer{crypted, s}, nil
	}
}
