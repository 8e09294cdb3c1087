package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// Models returns the language models that can be asked, by ID.
func (c *Client) Models(ctx context.Context) ([]view.Model, error) {
	v, err := get[view.Models](ctx, c, path("models"), nil)
	return v.Models, err
}

// Ask asks a language model and calls do with what happens, in order. It returns
// nil when the question was answered and, if a task did it, that was settled or
// left to be answered by somebody else. A task that was posted goes on whatever
// happens here.
func (c *Client) Ask(ctx context.Context, q view.Question, do func(view.AskNews) error) error {
	b, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("client: encode request: %w", err)
	}
	resp, err := c.do(ctx, http.MethodPost, path("ask"), "application/json", bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if t := resp.Header.Get("Content-Type"); !strings.HasPrefix(t, "text/event-stream") {
		return errForeign
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxNews)
	answered := false
	for lines.Scan() {
		data, is := strings.CutPrefix(lines.Text(), "data: ")
		if !is {
			continue
		}
		var news view.AskNews
		if err := json.Unmarshal([]byte(data), &news); err != nil {
			return fmt.Errorf("%w: %w", errForeign, err)
		}
		if news.Step == view.AskFailed && news.Error != nil {
			return news.Error
		}
		answered = answered || news.Step == view.AskAnswer && news.TaskID.IsZero() || news.Step == view.AskSettled
		if err := do(news); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil || !answered {
		return unwrapContext(ctx, fmt.Errorf("%w at %s: it broke off in the middle of an answer", ErrUnreachable, c.base))
	}
	return nil
}

// maxNews bounds one thing that happens to a question, in bytes.
const maxNews = 16 << 20

// TaskLogs copies to w what the runtime that executes a task wrote to standard
// error: what there is or, with follow, until the work ends.
func (c *Client) TaskLogs(ctx context.Context, task string, follow bool, w io.Writer) error {
	q := url.Values{"follow": {fmt.Sprint(follow)}}
	resp, err := c.do(ctx, http.MethodGet, path("tasks", task, "logs")+"?"+q.Encode(), "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("client: copy the logs: %w", unwrapContext(ctx, err))
	}
	return nil
}
