package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// maxPPM is the whole, in millionths.
const maxPPM = 1_000_000

// postTask reads the multipart form of a task: spec first, then the program
// and the input, each streamed to the node as it comes, so that no request
// needs much memory.
func (s *Server) postTask(w http.ResponseWriter, r *http.Request) (view.Submission, error) {
	release, ok := take(s.uploads)
	if !ok {
		return view.Submission{}, full("uploads")
	}
	defer release()
	s.setDeadlines(w, s.limits.transfer, s.limits.transfer+s.limits.write)
	r.Body = http.MaxBytesReader(w, r.Body, s.limits.json+2*s.limits.program+s.limits.input)
	form, err := r.MultipartReader()
	if err != nil {
		return view.Submission{}, invalid("the body must be multipart/form-data with the parts spec, program and input, and checker where there is one")
	}
	t, err := s.readTask(r.Context(), form)
	if err != nil {
		return view.Submission{}, err
	}
	executor, err := s.executor(r.Context(), &t)
	if err != nil {
		return view.Submission{}, err
	}
	return s.node.PostTask(r.Context(), t, executor)
}

// readTask reads the parts of a task's form.
func (s *Server) readTask(ctx context.Context, form *multipart.Reader) (view.NewTask, error) {
	part, err := form.NextPart()
	if err != nil || part.FormName() != "spec" {
		return view.NewTask{}, blame(err, invalid("the first part of the form must be spec"))
	}
	t, err := decodeJSON[view.NewTask](capTo(part, s.limits.json, "the spec"))
	if err != nil {
		return view.NewTask{}, err
	}
	if err := checkTask(t); err != nil {
		return view.NewTask{}, err
	}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return view.NewTask{}, broken(err)
		}
		if err := s.readBlob(ctx, part, &t); err != nil {
			return view.NewTask{}, err
		}
	}
	if t.Program.IsZero() {
		return view.NewTask{}, &view.Error{Code: view.CodeInvalid, Message: "the task has no program", Hint: "give one with --program FILE, or the name of an example"}
	}
	if t.Input.IsZero() {
		return view.NewTask{}, &view.Error{Code: view.CodeInvalid, Message: "the task has no input", Hint: "give one with --input FILE, or - for standard input"}
	}
	return t, nil
}

// readBlob stores one part and notes its CID in t.
func (s *Server) readBlob(ctx context.Context, part *multipart.Part, t *view.NewTask) error {
	var (
		into  *view.CID
		limit int64
	)
	switch name := part.FormName(); name {
	case "program":
		into, limit = &t.Program, s.limits.program
	case "input":
		into, limit = &t.Input, s.limits.input
	case "checker":
		into, limit = &t.Checker, s.limits.program
	default:
		return invalid("the form has an unknown part %.40q", name)
	}
	name := part.FormName()
	if !into.IsZero() {
		return invalid("the form gives %s twice", name)
	}
	body := bufio.NewReader(capTo(part, limit, "the "+name))
	if name == "program" && strings.HasPrefix(t.Runtime, "wasm") || name == "checker" {
		if magic, err := body.Peek(4); !bytes.Equal(magic, []byte("\x00asm")) {
			return blame(err, &view.Error{
				Code:    view.CodeInvalid,
				Message: "the " + name + " is not a WASM module",
				Hint:    "compile it for wasip1, for example: GOOS=wasip1 GOARCH=wasm go build -o prog.wasm .",
			})
		}
	}
	blob, err := s.node.PutBlob(ctx, body) // the reader blames the request; the rest is the node's
	if err != nil {
		return err
	}
	*into = blob.CID
	return nil
}

// checkTask finds what is wrong with a spec whatever the state is.
func checkTask(t view.NewTask) error {
	switch {
	case t.Type == "":
		return invalid("the spec has no type, such as vision")
	case t.Runtime == "":
		return invalid("the spec has no runtime, such as wasm")
	case t.MinQualityPPM > maxPPM:
		return invalid("min_quality_ppm %d: want at most %d", t.MinQualityPPM, maxPPM)
	}
	return nil
}

// executor finds who shall execute t: empty for the router or anyone.
func (s *Server) executor(ctx context.Context, t *view.NewTask) (peer.ID, error) {
	switch t.To {
	case "":
		t.To = view.ToAuto
		return "", nil
	case view.ToAuto, view.ToOpen:
		return "", nil
	}
	executor, err := s.account(ctx, t.To)
	if err != nil {
		return "", err
	}
	self, err := s.node.Status(ctx)
	if err == nil && executor == self.PeerID {
		err = &view.Error{Code: view.CodeInvalid, Message: "the executor is this platform itself", Hint: "name another platform, or let the router pick with --to auto"}
	}
	return executor, err
}

// getTx answers at once, or when what wait= names has come.
func (s *Server) getTx(w http.ResponseWriter, r *http.Request) (view.Tx, error) {
	p, err := s.readPatience(r, waitFinal)
	if err != nil {
		return view.Tx{}, err
	}
	id, err := s.txID(r.Context(), r.PathValue("tx"))
	if err != nil {
		return view.Tx{}, err
	}
	return await(r.Context(), s, w, p, func(ctx context.Context) (view.Tx, error) { return s.node.Tx(ctx, id) }, txOver)
}

// getTask answers at once, or when what wait= names has come.
func (s *Server) getTask(w http.ResponseWriter, r *http.Request) (view.Task, error) {
	p, err := s.readPatience(r, waitFinal, waitProven, waitSettled, waitMoved)
	if err != nil {
		return view.Task{}, err
	}
	id, err := s.task(r.Context(), r.PathValue("task"))
	if err != nil {
		return view.Task{}, err
	}
	return await(r.Context(), s, w, p, func(ctx context.Context) (view.Task, error) { return s.node.Task(ctx, id) }, taskOver(p))
}

// getResult sends a task's result as it is. It is another machine's output:
// harden and the content type keep a browser from running it.
func (s *Server) getResult(w http.ResponseWriter, r *http.Request) {
	id, err := s.task(r.Context(), r.PathValue("task"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	t, err := s.node.Task(r.Context(), id)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if t.Result.IsZero() {
		s.fail(w, r, &view.Error{
			Code:      view.CodeNotFound,
			Message:   fmt.Sprintf("the task has no result: it is %s", t.State),
			Hint:      "wait for it with: sage-p2p task wait " + id.String(),
			Retryable: t.State != view.TaskSettled,
		})
		return
	}
	s.setDeadlines(w, s.limits.transfer, s.limits.transfer)
	body, err := s.openResult(r.Context(), t)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer func() { _ = body.Close() }() // it was only read
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatUint(t.ResultSize, 10))
	h.Set("Content-Disposition", `attachment; filename="result"`)
	h.Set("ETag", strconv.Quote(t.Result.String()))
	if r.Method == http.MethodHead {
		return
	}
	if _, err := io.Copy(w, body); err != nil {
		s.log.DebugContext(r.Context(), "api: send result", "task", id, "err", err)
		panic(http.ErrAbortHandler) // the length was promised: cut the connection
	}
}

// broken is the error of a form that ends before its end.
func broken(err error) error {
	return blame(err, invalid("the form cannot be read: %s", clip(err.Error())))
}

// openResult opens the result of a task. While the task is not settled the
// executor serves it, but may be a block behind: then it is asked again.
func (s *Server) openResult(ctx context.Context, t view.Task) (io.ReadCloser, error) {
	patient, cancel := context.WithTimeout(ctx, s.limits.result)
	defer cancel()
	for {
		changed := s.node.Changed()
		body, err := s.node.OpenBlob(ctx, t.Result)
		var no *view.Error
		if !errors.As(err, &no) || no.Code != view.CodeGone || t.State == view.TaskSettled {
			return body, err
		}
		select {
		case <-changed:
		case <-time.After(s.limits.result / 20): // the change may be the other's
		case <-patient.Done():
			return nil, err
		}
	}
}

// capped reads at most left bytes of r, and fails if there are more. All its
// errors blame the request.
type capped struct {
	r    io.Reader
	left int64
	max  int64
	what string
}

func capTo(r io.Reader, limit int64, what string) *capped {
	return &capped{r: r, left: limit, max: limit, what: what}
}

func (c *capped) Read(p []byte) (n int, err error) {
	if c.left == 0 {
		p = make([]byte, 1) // to see whether there is more
		if n, err = c.r.Read(p); n > 0 {
			return 0, &view.Error{Code: view.CodeTooLarge, Message: fmt.Sprintf("%s is larger than %d bytes", c.what, c.max)}
		}
	} else {
		n, err = c.r.Read(p[:min(int64(len(p)), c.left)])
		c.left -= int64(n)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = broken(err)
	}
	return n, err
}
