package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// ErrContent reports bytes that are not those that their CID names.
var ErrContent = errors.New("client: the bytes are not those of the content ID")

// Status returns the node's health.
func (c *Client) Status(ctx context.Context) (view.Status, error) {
	return get[view.Status](ctx, c, path("status"), nil)
}

// all reads a list page by page. A node that leaves no end to it is given up
// after maxPages.
func all[T any](ctx context.Context, read func(ctx context.Context, q url.Values) (page []T, next string, err error)) ([]T, error) {
	var (
		list []T
		q    = url.Values{}
	)
	for range maxPages {
		page, next, err := read(ctx, q)
		if err != nil {
			return nil, err
		}
		list = append(list, page...)
		if next == "" {
			return list, nil
		}
		q.Set("cursor", next)
	}
	return nil, fmt.Errorf("client: a list of more than %d pages", maxPages)
}

// maxPages bounds what one call reads.
const maxPages = 1000

// Peers returns the node's connections, by peer ID.
func (c *Client) Peers(ctx context.Context) ([]view.Peer, error) {
	return all(ctx, func(ctx context.Context, q url.Values) ([]view.Peer, string, error) {
		v, err := get[view.Peers](ctx, c, path("peers"), q)
		return v.Peers, v.Next, err
	})
}

// Federations returns the node's own federation and those heard on its LAN.
func (c *Client) Federations(ctx context.Context) ([]view.Federation, error) {
	v, err := get[view.Federations](ctx, c, path("federations"), nil)
	return v.Federations, err
}

// Validators returns the set that decides the next height.
func (c *Client) Validators(ctx context.Context) (view.Validators, error) {
	return get[view.Validators](ctx, c, path("validators"), nil)
}

// Platforms returns all registered platforms, by name.
func (c *Client) Platforms(ctx context.Context) ([]view.Platform, error) {
	return all(ctx, func(ctx context.Context, q url.Values) ([]view.Platform, string, error) {
		v, err := get[view.Platforms](ctx, c, path("platforms"), q)
		return v.Platforms, v.Next, err
	})
}

// Platform returns a platform by name, peer ID or an unambiguous part of one.
func (c *Client) Platform(ctx context.Context, platform string) (view.Platform, error) {
	return get[view.Platform](ctx, c, path("platforms", platform), nil)
}

// Account returns an account by name, peer ID or an unambiguous part of one.
func (c *Client) Account(ctx context.Context, account string) (view.Account, error) {
	return get[view.Account](ctx, c, path("accounts", account), nil)
}

// History returns a page of an account's movements, newest first.
func (c *Client) History(ctx context.Context, account, cursor string, limit int) (view.Movements, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	return get[view.Movements](ctx, c, path("accounts", account, "history"), q)
}

// Locks returns the open locks that are no task's, the earliest deadline first.
func (c *Client) Locks(ctx context.Context) ([]view.Lock, error) {
	return all(ctx, func(ctx context.Context, q url.Values) ([]view.Lock, string, error) {
		v, err := get[view.Locks](ctx, c, path("locks"), q)
		return v.Locks, v.Next, err
	})
}

// Blocks returns at most limit headers below height before (0: from the
// head), newest first.
func (c *Client) Blocks(ctx context.Context, before view.Height, limit int) ([]view.Header, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}, "before": {strconv.FormatUint(uint64(before), 10)}}
	v, err := get[view.Headers](ctx, c, path("blocks"), q)
	return v.Blocks, err
}

// Block returns a block by height, ID or an unambiguous part of one.
func (c *Client) Block(ctx context.Context, block string) (view.Block, error) {
	return get[view.Block](ctx, c, path("blocks", block), nil)
}

// Tx returns a transaction by ID or an unambiguous part of one.
func (c *Client) Tx(ctx context.Context, tx string) (view.Tx, error) {
	return get[view.Tx](ctx, c, path("txs", tx), nil)
}

// Tasks returns a page of tasks, newest first.
func (c *Client) Tasks(ctx context.Context, f view.TaskFilter) (view.Tasks, error) {
	q := url.Values{"limit": {strconv.Itoa(f.Limit)}}
	if f.State != "" {
		q.Set("state", string(f.State))
	}
	if f.Mine {
		q.Set("mine", "true")
	}
	if f.Cursor != "" {
		q.Set("cursor", f.Cursor)
	}
	return get[view.Tasks](ctx, c, path("tasks"), q)
}

// Task returns a task by ID or an unambiguous part of one.
func (c *Client) Task(ctx context.Context, task string) (view.Task, error) {
	return get[view.Task](ctx, c, path("tasks", task), nil)
}

// Result copies a task's result to w and returns its CID, against which the
// bytes have been checked. After an error w holds bytes that prove nothing.
func (c *Client) Result(ctx context.Context, task string, w io.Writer) (view.CID, error) {
	resp, err := c.do(ctx, http.MethodGet, path("tasks", task, "result"), "", nil)
	if err != nil {
		return view.CID{}, err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	tag, err := strconv.Unquote(resp.Header.Get("ETag"))
	if err != nil {
		return view.CID{}, fmt.Errorf("%w: no ETag", errForeign)
	}
	want, err := view.ParseCID(tag)
	if err != nil {
		return view.CID{}, fmt.Errorf("%w: %w", errForeign, err)
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, sum), resp.Body); err != nil {
		return view.CID{}, fmt.Errorf("client: copy the result: %w", unwrapContext(ctx, err))
	}
	mh, err := multihash.Encode(sum.Sum(nil), multihash.SHA2_256)
	if err != nil {
		return view.CID{}, fmt.Errorf("client: %w", err)
	}
	if have := cid.NewCidV1(want.Type(), mh); !have.Equals(want.Cid) {
		return view.CID{}, fmt.Errorf("%w: have %s, want %s", ErrContent, have, want)
	}
	return want, nil
}
