package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// Transfer pays from the node's account. Like every method that submits, it
// returns once the transaction is durable and on its way: [Client.WaitTx]
// tells what became of it.
func (c *Client) Transfer(ctx context.Context, t view.Transfer) (view.Submission, error) {
	return post[view.Submission](ctx, c, path("transfers"), t)
}

// CreateLock locks an amount for a payee until a deadline.
func (c *Client) CreateLock(ctx context.Context, l view.NewLock) (view.Submission, error) {
	return post[view.Submission](ctx, c, path("locks"), l)
}

// CommitLock pays a lock to its payee.
func (c *Client) CommitLock(ctx context.Context, lock string) (view.Submission, error) {
	return post[view.Submission](ctx, c, path("locks", lock, "commit"), struct{}{})
}

// RollbackLock gives a lock back to its payer.
func (c *Client) RollbackLock(ctx context.Context, lock string) (view.Submission, error) {
	return post[view.Submission](ctx, c, path("locks", lock, "rollback"), struct{}{})
}

// Register registers the node's platform.
func (c *Client) Register(ctx context.Context, r view.Registration) (view.Submission, error) {
	return post[view.Submission](ctx, c, path("platforms"), r)
}

// JoinValidators asks for a vote for the node's platform.
func (c *Client) JoinValidators(ctx context.Context) (view.Submission, error) {
	return post[view.Submission](ctx, c, path("validators", "join"), struct{}{})
}

// LeaveValidators gives the vote of the node's platform back, or the wish for one.
func (c *Client) LeaveValidators(ctx context.Context) (view.Submission, error) {
	return post[view.Submission](ctx, c, path("validators", "leave"), struct{}{})
}

// VoteOnValidator votes for a platform to join, or takes that back.
func (c *Client) VoteOnValidator(ctx context.Context, v view.NewVote) (view.Submission, error) {
	return post[view.Submission](ctx, c, path("validators", "vote"), v)
}

// RotateKey replaces the key of the node's platform, which begins anew once that
// is final.
func (c *Client) RotateKey(ctx context.Context) (view.Submission, error) {
	return post[view.Submission](ctx, c, path("key", "rotate"), struct{}{})
}

// BondStake sets an amount of the node's aside to be drawn as a witness.
func (c *Client) BondStake(ctx context.Context, amount view.Amount) (view.Submission, error) {
	return post[view.Submission](ctx, c, path("stake", "bond"), view.StakeChange{AmountUATP: amount})
}

// UnbondStake asks an amount of the node's stake back.
func (c *Client) UnbondStake(ctx context.Context, amount view.Amount) (view.Submission, error) {
	return post[view.Submission](ctx, c, path("stake", "unbond"), view.StakeChange{AmountUATP: amount})
}

// Stop tells the node to end. It returns before the node has ended.
func (c *Client) Stop(ctx context.Context) (view.Stopping, error) {
	return post[view.Stopping](ctx, c, path("stop"), struct{}{})
}

// SubmitTx submits a transaction that was signed elsewhere.
func (c *Client) SubmitTx(ctx context.Context, encoded []byte) (view.Submission, error) {
	return call[view.Submission](ctx, c, http.MethodPost, path("txs"), "application/vnd.ipld.dag-cbor", bytes.NewReader(encoded))
}

// Acknowledge answers a task's proof with a mark.
func (c *Client) Acknowledge(ctx context.Context, task string, m view.Mark) (view.Submission, error) {
	return post[view.Submission](ctx, c, path("tasks", task, "acknowledge"), m)
}

// CancelTask takes back a task that nobody has accepted.
func (c *Client) CancelTask(ctx context.Context, task string) (view.Submission, error) {
	return post[view.Submission](ctx, c, path("tasks", task, "cancel"), struct{}{})
}

// DisputeTask asks for witnesses of a task's result.
func (c *Client) DisputeTask(ctx context.Context, task string) (view.Submission, error) {
	return post[view.Submission](ctx, c, path("tasks", task, "dispute"), struct{}{})
}

// AppealTask asks for everyone's word after a committee's.
func (c *Client) AppealTask(ctx context.Context, task string) (view.Submission, error) {
	return post[view.Submission](ctx, c, path("tasks", task, "appeal"), struct{}{})
}

// VerifyTask has the node find the quality of a task's result as a witness would.
// It takes as long as the task's program does.
func (c *Client) VerifyTask(ctx context.Context, task string) (view.Examination, error) {
	return post[view.Examination](ctx, c, path("tasks", task, "verify"), struct{}{})
}

// PostTask posts a task. Program and input are read to their ends; either may
// be nil where t names a CID that the node already holds.
func (c *Client) PostTask(ctx context.Context, t view.NewTask, program, input io.Reader) (view.Submission, error) {
	return c.PostChecked(ctx, t, program, input, nil)
}

// PostChecked is PostTask with a checker, which makes class checker the default.
func (c *Client) PostChecked(ctx context.Context, t view.NewTask, program, input, checker io.Reader) (view.Submission, error) {
	r, w := io.Pipe()
	form := multipart.NewWriter(w)
	var g errgroup.Group
	g.Go(func() error {
		err := writeForm(form, t, program, input, checker)
		return errors.Join(err, w.CloseWithError(err)) // the request then fails too, if it still runs
	})
	sub, answer := call[view.Submission](ctx, c, http.MethodPost, path("tasks"), form.FormDataContentType(), r)
	_ = r.Close() // stops the writer, if the answer came early
	var unread *readError
	if err := g.Wait(); errors.As(err, &unread) {
		return view.Submission{}, fmt.Errorf("client: read the %s: %w", unread.what, unread.err)
	}
	return sub, answer
}

// readError is a failure of what is to be sent, not of the sending.
type readError struct {
	what string
	err  error
}

func (e *readError) Error() string { return e.err.Error() }

// source marks the errors of a reader.
type source struct {
	what string
	r    io.Reader
}

func (s source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &readError{s.what, err}
	}
	return n, err
}

// writeForm writes spec, program, input and checker, in this order, those that there are.
func writeForm(form *multipart.Writer, t view.NewTask, program, input, checker io.Reader) error {
	spec, err := form.CreateFormField("spec")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(spec).Encode(t); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		from io.Reader
	}{{"program", program}, {"input", input}, {"checker", checker}} {
		if part.from == nil {
			continue
		}
		to, err := form.CreateFormFile(part.name, part.name)
		if err != nil {
			return err
		}
		if _, err := io.Copy(to, source{part.name, part.from}); err != nil {
			return err
		}
	}
	return form.Close()
}

// Invite makes an invite to the node's federation, which one platform may use, once.
func (c *Client) Invite(ctx context.Context, i view.NewInvite) (view.Invite, error) {
	return post[view.Invite](ctx, c, path("invites"), i)
}
