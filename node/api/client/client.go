// Package client speaks to a running node. The commands use it, and so may
// any Go program.
//
//	c, err := client.Open(home, "")
//	st, err := c.Status(ctx)
//	sub, err := c.Transfer(ctx, view.Transfer{To: "thor", AmountUATP: 1_500_000})
//	tx, err := c.WaitTx(ctx, sub.TxID)
//
// # Errors
//
// A "no" of the node is a [*view.Error]. That no node answers is
// [ErrUnreachable]. Running out of the context's time is
// context.DeadlineExceeded; nothing that was submitted is undone by it.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// ErrUnreachable reports that no node answers at the address.
var ErrUnreachable = errors.New("client: no node answers")

// errForeign reports an answer that no node gives.
var errForeign = errors.New("client: what answers there is not a sage-p2p node")

// maxAnswer bounds a JSON answer.
const maxAnswer = 64 << 20

// Client speaks to one node. Its methods may be called from many goroutines.
type Client struct {
	base  string // http://host:port
	token string // "" where there is none: reads work, writes are refused
	home  string // mark of the home whose node is meant; "" is any
	dir   string // the home where the node's address was found; "" if it was given
	http  *http.Client
}

// New returns a client of the node at base, an http URL.
func New(base, token string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("client: API address %q: want http://HOST:PORT", base)
	}
	return &Client{
		base:  "http://" + u.Host,
		token: token,
		http: &http.Client{
			// No proxy: the token is for this machine only.
			Transport: &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: 30 * time.Second, ResponseHeaderTimeout: 3 * time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return errForeign // a node never redirects, and the token must not travel
			},
		},
	}, nil
}

// Open returns a client of the node in home. An empty base means the address
// that the running node wrote there; should another node have that address by
// now, it is not spoken to. A home without a token gives a client that can
// only read.
func Open(home, base string) (*Client, error) {
	token, err := view.ReadToken(home)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if base != "" {
		return New(base, token)
	}
	b, err := os.ReadFile(filepath.Join(home, view.AddrFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrUnreachable, home)
	}
	if err != nil {
		return nil, fmt.Errorf("client: find the node of this home: %w", err)
	}
	c, err := New(strings.TrimSpace(string(b)), token)
	if err == nil {
		c.dir = home
	}
	if err == nil && token != "" {
		c.home = view.HomeMark(token)
	}
	return c, err
}

// URL returns the address of the node's API.
func (c *Client) URL() string { return c.base }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// path joins parts, escaped, to a path of the API.
func path(parts ...string) string {
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return "/api/v1/" + strings.Join(parts, "/")
}

// get reads the JSON at path.
func get[V any](ctx context.Context, c *Client, path string, query url.Values) (V, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return call[V](ctx, c, http.MethodGet, path, "", nil)
}

// post sends ask as JSON and reads the JSON that comes back.
func post[V any](ctx context.Context, c *Client, path string, ask any) (V, error) {
	b, err := json.Marshal(ask)
	if err != nil {
		var none V
		return none, fmt.Errorf("client: encode request: %w", err)
	}
	return call[V](ctx, c, http.MethodPost, path, "application/json", bytes.NewReader(b))
}

// call sends a request and decodes its answer.
func call[V any](ctx context.Context, c *Client, method, path, contentType string, body io.Reader) (V, error) {
	var v V
	resp, err := c.do(ctx, method, path, contentType, body)
	if err != nil {
		return v, err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&v); err != nil {
		return v, fmt.Errorf("%w: %w", errForeign, unwrapContext(ctx, err))
	}
	return v, nil
}

// do sends a request and returns a successful answer.
func (c *Client) do(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if method != http.MethodGet && c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.home != "" {
		req.Header.Set(view.HomeHeader, c.home)
	}
	resp, err := c.http.Do(req)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, errForeign):
		return nil, errForeign
	default:
		return nil, fmt.Errorf("%w at %s: %w", ErrUnreachable, c.base, cause(err))
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	var f view.Failure
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&f); err != nil || f.Error == nil {
		return nil, fmt.Errorf("%w: HTTP status %s", errForeign, resp.Status)
	}
	if f.Error.Code == view.CodeMisdirected {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, f.Error)
	}
	return nil, f.Error
}

// cause strips the request's repetition from an error of net/http.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// unwrapContext prefers the context's reason to the broken read that it causes.
func unwrapContext(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
