package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sage-p2p/sage-p2p/task"
)

// UpstreamConfig is what an operator says of a server of language models.
type UpstreamConfig struct {
	URL     string   // its API, such as http://127.0.0.1:8080/v1; without a path, /v1 is meant
	Models  []string // as the server calls them
	KeyFile string   // holds the server's API key; empty for none; readable by its owner alone
}

// MaxUpstreamModels is how many models a server may be asked for: a platform
// registers at most 16 runtimes, and wasm is one of them.
const MaxUpstreamModels = 15

// Validate reports every problem. It reads no file.
func (c UpstreamConfig) Validate() error {
	var errs []error
	if _, err := c.base(); err != nil {
		errs = append(errs, err)
	}
	if len(c.Models) == 0 || len(c.Models) > MaxUpstreamModels {
		errs = append(errs, fmt.Errorf("exec: have %d models, want 1 to %d, as the server calls them", len(c.Models), MaxUpstreamModels))
	}
	seen := map[task.Runtime]bool{}
	for _, name := range c.Models {
		rt, err := ModelRuntime(name)
		if err == nil && seen[rt] {
			err = fmt.Errorf("exec: model %q is named twice", name)
		}
		if seen[rt] = true; err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c UpstreamConfig) base() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("exec: server of language models %.200q: want its URL, such as http://127.0.0.1:8080/v1", c.URL)
	}
	if u.Path = strings.TrimRight(u.Path, "/"); u.Path == "" {
		u.Path = "/v1"
	}
	return u, nil
}

// Upstream is an OpenAI-compatible server: llama.cpp, Ollama, vLLM. Nothing but
// it is ever connected to on its behalf: no proxy, no redirect.
type Upstream struct {
	base   *url.URL
	addr   string // host:port
	models []string
	key    string
	client *http.Client
}

// dialTimeout bounds the time to connect to a server. How long it may take to
// answer is for the task to say.
const dialTimeout = 10 * time.Second

// NewUpstream returns the server that c describes. It reads the key, and connects
// to nothing.
func NewUpstream(c UpstreamConfig) (*Upstream, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	base, err := c.base()
	if err != nil {
		return nil, err
	}
	u := &Upstream{base: base, models: slices.Clone(c.Models)}
	if u.key, err = readKey(c.KeyFile); err != nil {
		return nil, err
	}
	port := base.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[base.Scheme]
	}
	u.addr = net.JoinHostPort(base.Hostname(), port)
	u.client = &http.Client{
		Transport: &http.Transport{
			DialContext: u.dial, TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: 64 << 10,
			DisableCompression: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second,
		},
		CheckRedirect: func(to *http.Request, _ []*http.Request) error {
			return fmt.Errorf("it redirects to %s, where a question is never sent: configure that server, if it is meant", to.URL.Host)
		},
	}
	return u, nil
}

// maxKey bounds the file of a key, in bytes.
const maxKey = 4 << 10

// readKey reads an API key. It is a secret: others must not be able to read it.
func readKey(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("exec: key of the server of language models: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("exec: key of the server of language models: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("exec: key of the server of language models: %s can be read by others (mode %04o): take the permission away with chmod 600", file, info.Mode().Perm())
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	if err != nil {
		return "", fmt.Errorf("exec: key of the server of language models: %w", err)
	}
	key := strings.TrimSpace(string(raw))
	if key == "" || len(raw) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("exec: key of the server of language models: %s holds no key: want one line of printable ASCII", file)
	}
	return key, nil
}

// Runtimes returns a runtime for each of the server's models.
func (u *Upstream) Runtimes() []Runtime {
	var all []Runtime
	for _, name := range u.models {
		all = append(all, &Model{of: u, name: name})
	}
	return all
}

// URL is where the server is, for its operator.
func (u *Upstream) URL() string { return u.base.String() }

// Close ends idle connections.
func (u *Upstream) Close() { u.client.CloseIdleConnections() }

// dial connects to the server, and to nothing else.
func (u *Upstream) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if addr != u.addr {
		return nil, fmt.Errorf("%s is not the server that is configured", addr)
	}
	d := net.Dialer{Timeout: dialTimeout, ControlContext: func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
		return permit(u.base.Hostname(), resolved)
	}}
	return d.DialContext(ctx, network, addr)
}

// permit refuses a resolved address that the operator cannot have meant: who
// names a machine of the network or of the internet does not mean this one, nor
// the address at which clouds tell secrets. An address that is configured as such
// is meant.
func permit(host, resolved string) error {
	to, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return fmt.Errorf("%s: %w", resolved, err)
	}
	ip := to.Addr().Unmap()
	literal, err := netip.ParseAddr(host)
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	switch {
	case err == nil && literal.Unmap().WithZone("") == ip.WithZone(""), local && ip.IsLoopback():
		return nil
	case err == nil, local, ip.IsLoopback(), ip.IsLinkLocalUnicast(), ip.IsMulticast(), ip.IsUnspecified():
		return fmt.Errorf("%s is at %s, which is not what that name stands for: configure the address itself, if it is meant", host, ip)
	}
	return nil
}

// statusError is a server's refusal.
type statusError struct{ code int }

func (e *statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the server answers %d %s", e.code, http.StatusText(e.code)))
}

// maxWords bounds what is read of the words of a refusal, in bytes.
const maxWords = 1 << 10

// do sends a request, and returns an answer whose status is 200.
func (u *Upstream) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHost, err)
	}
	req.Header.Set("Accept", "text/event-stream, application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if u.key != "" {
		req.Header.Set("Authorization", "Bearer "+u.key)
	}
	resp, err := u.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: the server of language models: %w", ErrHost, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()                    // it was only read
	words, _ := io.ReadAll(io.LimitReader(resp.Body, maxWords)) // whatever came says more than nothing
	class := ErrHost
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		class = ErrInvalid // the question itself: too long for the model, say
	}
	said := &statusError{resp.StatusCode}
	return nil, fmt.Errorf("%w: %w: %.300q", class, said, u.redact(string(words)))
}

// redact takes the key out of what a server says: some repeat it.
func (u *Upstream) redact(text string) string {
	if u.key == "" {
		return text
	}
	return strings.ReplaceAll(text, u.key, "…")
}
