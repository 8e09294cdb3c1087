package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// Doctor returns what the node finds when it looks at itself.
func (c *Client) Doctor(ctx context.Context) (view.Doctor, error) {
	return get[view.Doctor](ctx, c, path("doctor"), nil)
}

// PeersWhy returns who is not connected and why.
func (c *Client) PeersWhy(ctx context.Context) (view.PeersWhy, error) {
	return get[view.PeersWhy](ctx, c, path("peers", "why"), nil)
}

// WhyNot returns whether the router would give a task to a platform, or to each
// one if none is named.
func (c *Client) WhyNot(ctx context.Context, task, platform string) (view.WhyNot, error) {
	q := url.Values{}
	if platform != "" {
		q.Set("platform", platform)
	}
	return get[view.WhyNot](ctx, c, path("tasks", task, "why-not"), q)
}

// WhyIdle returns why the node, as an executor, gets no work.
func (c *Client) WhyIdle(ctx context.Context) (view.WhyIdle, error) {
	return get[view.WhyIdle](ctx, c, path("why-idle"), nil)
}

// Reputation returns how a platform's standing came about.
func (c *Client) Reputation(ctx context.Context, platform string) (view.ReputationStory, error) {
	return get[view.ReputationStory](ctx, c, path("platforms", platform, "reputation"), nil)
}

// Healthy returns nil if the process answers.
func (c *Client) Healthy(ctx context.Context) error {
	_, err := get[map[string]string](ctx, c, "/healthz", nil)
	return err
}

// Ready returns nil if the node has a chain and follows it, else what it waits for.
func (c *Client) Ready(ctx context.Context) error {
	_, err := get[map[string]string](ctx, c, "/readyz", nil)
	return err
}

// OpenAPI returns the description of the API, in OpenAPI.
func (c *Client) OpenAPI(ctx context.Context) (json.RawMessage, error) {
	return get[json.RawMessage](ctx, c, "/openapi.json", nil)
}

// Metrics copies the node's metrics to w, in the text format of Prometheus.
func (c *Client) Metrics(ctx context.Context, w io.Writer) error {
	resp, err := c.do(ctx, http.MethodGet, "/metrics", "", nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, io.LimitReader(resp.Body, maxAnswer))
	return errors.Join(unwrapContext(ctx, err), resp.Body.Close())
}
