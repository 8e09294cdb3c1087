package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// ErrExposed reports an address that other machines could reach. Without TLS
// the token would cross the network in the clear.
var ErrExposed = errors.New("api: the address can be reached from other machines, and there is no TLS yet: listen on 127.0.0.1 or [::1], and use an SSH tunnel from elsewhere")

// Config is what an operator chooses about the API.
type Config struct {
	Home string // where the token and the address are written
	Addr string // host:port, loopback; port 0 lets the system choose. Empty, or view.DefaultAddr: that one, or a free port if it is taken
}

// limits bounds what requests may cost (H6). Tests make them small.
type limits struct {
	requests int           // at once
	waiting  int           // of them, in long polls and event streams
	uploads  int           // of them, receiving a task
	proofs   int           // of them, making a proof
	conns    int           // open connections
	json     int64         // bytes of a JSON body, and of a signed transaction
	chat     int64         // bytes of a question to a language model
	program  int64         // bytes
	input    int64         // bytes
	read     time.Duration // to receive an ordinary request
	transfer time.Duration // to receive a task or to send a result
	write    time.Duration // to send an ordinary answer
	wait     time.Duration // the longest poll
	ask      time.Duration // for a question to be answered, and for a task to be executed
	result   time.Duration // for the executor to serve a result that it has just proved
	beat     time.Duration // between signs of life of an event stream
}

func defaultLimits() limits {
	return limits{
		requests: 128, waiting: 64, uploads: 4, proofs: 2, conns: 256,
		json: 96 << 10, chat: 4 << 20, program: 32 << 20, input: 64 << 20,
		read: 10 * time.Second, transfer: 5 * time.Minute, write: 30 * time.Second,
		wait: 2 * time.Minute, ask: 25 * time.Hour, result: 5 * time.Second, beat: 15 * time.Second,
	}
}

// An Option replaces a part that most callers leave alone.
type Option func(*Server)

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) Option { return func(s *Server) { s.log = l } }

// WithMetrics serves h at /metrics. Without it there are none.
func WithMetrics(h http.Handler) Option { return func(s *Server) { s.metrics = h } }

// Server serves one node.
type Server struct {
	cfg      Config
	node     Node
	metrics  http.Handler // nil if there are none
	log      *slog.Logger
	limits   limits
	token    string
	listener net.Listener
	hosts    map[string]bool // H1
	requests chan struct{}   // one element per request being served
	waiting  chan struct{}
	uploads  chan struct{}
	proofs   chan struct{}
	conns    atomic.Int64
}

// New returns a server for n. It starts nothing and touches no file.
func New(cfg Config, n Node, opts ...Option) *Server {
	s := &Server{cfg: cfg, node: n, log: slog.New(slog.DiscardHandler), limits: defaultLimits()}
	for _, opt := range opts {
		opt(s)
	}
	s.requests = make(chan struct{}, s.limits.requests)
	s.waiting = make(chan struct{}, s.limits.waiting)
	s.uploads = make(chan struct{}, s.limits.uploads)
	s.proofs = make(chan struct{}, s.limits.proofs)
	return s
}

// Listen takes the address and reads or makes the token, so that a node can
// find out that it may not have them before it does anything else. Run calls
// it if nobody has. A failed Listen has changed nothing.
func (s *Server) Listen() error {
	ln, err := listen(s.cfg.Addr)
	if err != nil {
		return err
	}
	s.token, err = loadToken(s.cfg.Home)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	s.listener = ln
	s.hosts = allowedHosts(ln.Addr())
	return nil
}

// URL returns where the server listens, after Listen.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Run serves until ctx ends. HOME/api.addr exists while it does.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		if err := s.Listen(); err != nil {
			return err
		}
	}
	addrFile := filepath.Join(s.cfg.Home, view.AddrFile)
	if err := publish(addrFile, s.URL()+"\n"); err != nil {
		return fmt.Errorf("api: write the address for other commands: %w", errors.Join(err, s.listener.Close()))
	}
	defer func() { _ = os.Remove(addrFile) }() // a stale one only costs its reader a failed dial

	g, ctx := errgroup.WithContext(ctx)
	srv := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnState:         s.countConn,
		BaseContext:       func(net.Listener) context.Context { return ctx }, // long polls end with the server
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	g.Go(func() error {
		if err := srv.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("api: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			return srv.Close()
		}
		return nil
	})
	return g.Wait()
}

// publish writes a file that whoever sees it can read whole.
func publish(path, text string) error {
	half := path + ".new"
	if err := os.WriteFile(half, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(half, path)
}

// countConn closes a new connection when there are too many.
func (s *Server) countConn(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if s.conns.Add(1) > int64(s.limits.conns) {
			_ = c.Close() // its reader finds out and reports StateClosed
		}
	case http.StateClosed, http.StateHijacked:
		s.conns.Add(-1)
	default:
	}
}

// CouldListen says why a server could not have an address, as long as nothing
// changes there.
func CouldListen(addr string) error {
	ln, err := listen(addr)
	if err != nil {
		return err
	}
	return ln.Close()
}

// listen binds to addr, which must be loopback.
func listen(addr string) (net.Listener, error) {
	if addr == "" {
		addr = view.DefaultAddr
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("api: address %q is not host:port: %w", addr, err)
	}
	if host == "localhost" {
		host = "127.0.0.1" // what a resolver says is not ours to trust
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("%w (have %q)", ErrExposed, addr)
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil && addr == view.DefaultAddr {
		ln, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		if system := syscall.Errno(0); errors.As(err, &system) {
			err = system // what is around it names the address again
		}
		return nil, &view.Error{
			Code:    view.CodeRefused,
			Message: fmt.Sprintf("the API cannot listen on %s: %v", addr, err),
			Hint:    "choose another address with --api-addr, or 127.0.0.1:0 for any free port",
		}
	}
	return ln, nil
}

// allowedHosts lists the values of Host that reach a: its number and, since
// it is loopback, localhost (H1).
func allowedHosts(a net.Addr) map[string]bool {
	_, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return map[string]bool{a.String(): true} // not TCP: a test's listener
	}
	return map[string]bool{a.String(): true, net.JoinHostPort("localhost", port): true}
}
