package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task/exec/programs"
)

// demoType is the type of all tasks of the demonstration.
const demoType = "vision"

// The money and the windows of the demonstration.
const (
	demoPrice     = 50 * atp.ATP
	demoFee       = demoPrice * 300 / 10_000
	demoTransfer  = 25 * atp.ATP
	demoLock      = 10 * atp.ATP
	demoOffer     = 10 * atp.Second
	demoExecution = 6 * atp.Second // of the task whose executor is killed
)

// compile makes the program and the picture.
func (d *demo) compile(ctx context.Context) error {
	var err error
	if d.edges, err = programs.Load(ctx, programs.Edges); err != nil {
		return err
	}
	if d.picture, err = programs.Sample(programs.Edges); err != nil {
		return err
	}
	size, err := png.DecodeConfig(bytes.NewReader(d.picture))
	if err != nil {
		return err
	}
	d.say("The work: a WebAssembly program of %d KB that finds the edges in a picture, and a PNG of %d × %d pixels.",
		len(d.edges)/1024, size.Width, size.Height)
	return nil
}

// found starts processes that know one address and agree on a genesis.
func (d *demo) found(ctx context.Context) error {
	params := filepath.Join(d.dir, "params.json")
	if err := writeParams(params, d.params); err != nil {
		return err
	}
	var bootstrap []string
	for _, name := range d.names {
		a := &actor{name: name, home: filepath.Join(d.dir, name)}
		if slices.Contains(d.liars, name) {
			a.env = append(a.env, liarVariable+"=1")
		}
		if err := os.Mkdir(a.home, 0o700); err != nil {
			return err
		}
		d.platforms = append(d.platforms, a)
		a.args = append([]string{
			"--network", "demo", "--expect", strconv.Itoa(len(d.names)), "--params", params, "--api-addr", "127.0.0.1:0", "--no-mdns",
			"--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1",
		}, append(bootstrap, d.args...)...)
		if err := a.start(ctx); err != nil {
			return err
		}
		if bootstrap == nil {
			st, err := a.node.Status(ctx)
			if err != nil {
				return err
			}
			for _, addr := range st.Listen {
				bootstrap = append(bootstrap, "--bootstrap", addr)
			}
		}
	}
	genesis := make(map[string]bool)
	for _, a := range d.platforms {
		if err := a.until(ctx, "to have a federation", func() (bool, error) {
			st, err := a.node.Status(ctx)
			genesis[st.Genesis] = true
			delete(genesis, "")
			return st.Ready() && st.Validators == len(d.names), err
		}); err != nil {
			return err
		}
	}
	if len(genesis) != 1 {
		return fmt.Errorf("there are %d genesis hashes among the %s platforms: %v", len(genesis), d.number, genesis)
	}
	d.say("The %s processes (%s) have found each other and signed one genesis; each has a vote, %d decide.", d.number,
		d.all(func(a *actor) string { return a.name + " " + strconv.Itoa(a.cmd.Process.Pid) }), len(d.names)-(len(d.names)-1)/3)
	return nil
}

// writeParams writes genesis parameters with short windows.
func writeParams(file string, change func(*chain.Params)) error {
	p := chain.DefaultParams(chain.AdmitAuto)
	p.Economy.MinWindow = 2 * atp.Second
	p.Economy.OfferWindow = demoOffer
	p.Economy.ExecutionWindow = 20 * atp.Second
	p.Economy.Silence = 20 * atp.Second
	change(&p)
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}

// register waits until all offer their work, by themselves.
func (d *demo) register(ctx context.Context) error {
	for _, a := range d.platforms {
		if err := a.until(ctx, "to see all offers", func() (bool, error) {
			platforms, err := a.node.Platforms(ctx)
			offers := 0
			for _, p := range platforms {
				for _, o := range p.Offers {
					if o.Type == demoType {
						offers++
					}
				}
			}
			return offers == len(d.names), err
		}); err != nil {
			return err
		}
	}
	if _, err := d.agree(ctx, d.platforms); err != nil {
		return err
	}
	d.say("All %s have registered what they offer. What each has now, and all say the same:", d.number)
	return d.printLedger(ctx)
}

// payForVision delegates a task, takes the result and pays.
func (d *demo) payForVision(ctx context.Context) error {
	alpha := d.platforms[0]
	before, err := d.books(ctx)
	if err != nil {
		return err
	}
	sub, err := alpha.node.PostTask(ctx, d.task(view.ToAuto), bytes.NewReader(d.edges), bytes.NewReader(d.picture))
	if _, err = alpha.final(ctx, sub, err); err != nil {
		return err
	}
	executor := d.named(sub.Executor)
	if executor == nil || executor == alpha {
		return fmt.Errorf("the router picked %s, who is none of the other three", sub.Executor)
	}
	d.say("alpha posts a vision task at %s (%s with the fee are locked). Its router picks %s.", coins(demoPrice), coins(demoPrice+demoFee), executor.name)
	proven, err := d.reach(ctx, alpha, sub.TaskID, view.TaskProven)
	if err != nil {
		return err
	}
	var result bytes.Buffer
	if _, err := alpha.node.Result(ctx, sub.TaskID.String(), &result); err != nil {
		return err
	}
	if err := checkEdges(d.picture, result.Bytes()); err != nil {
		return err
	}
	d.say("%s has done it and alpha holds the result: a PNG of %d bytes, whose bytes are those that %s proved on the chain.",
		executor.name, result.Len(), executor.name)
	mark := view.PPM(950_000)
	ack, err := alpha.node.Acknowledge(ctx, sub.TaskID.String(), view.Mark{QualityPPM: &mark})
	if _, err := alpha.final(ctx, ack, err); err != nil {
		return err
	}
	settled, err := d.reach(ctx, alpha, proven.ID, view.TaskSettled)
	if err != nil {
		return err
	}
	after, err := d.books(ctx)
	if err != nil {
		return err
	}
	if settled.Settlement != view.SettledCommit {
		return fmt.Errorf("the task ended in %s, not in COMMIT", stateOf(settled))
	}
	if err := errors.Join(
		moved(before, after, alpha.name, -int64(demoPrice+demoFee)),
		moved(before, after, executor.name, int64(demoPrice)),
		stood(before, after, executor.name, 1),
	); err != nil {
		return err
	}
	d.say("alpha gives it 0.95: COMMIT. %s was paid %s; its reputation went from %s to %s, on all four:",
		executor.name, coins(demoPrice), share(before[executor.name].reputation), share(after[executor.name].reputation))
	return d.printLedger(ctx)
}

// checkEdges checks that a result is a picture of the size of the input, with
// edges in it.
func checkEdges(input, output []byte) error {
	in, err := png.DecodeConfig(bytes.NewReader(input))
	if err != nil {
		return err
	}
	picture, err := png.Decode(bytes.NewReader(output))
	if err != nil {
		return fmt.Errorf("the result is no PNG: %w", err)
	}
	if b := picture.Bounds(); b.Dx() != in.Width || b.Dy() != in.Height {
		return fmt.Errorf("the result is %d × %d pixels, the input %d × %d", b.Dx(), b.Dy(), in.Width, in.Height)
	}
	var bright, dark int
	for y := range in.Height {
		for x := range in.Width {
			if r, _, _, _ := picture.At(x, y).RGBA(); r > 0x7fff {
				bright++
			} else {
				dark++
			}
		}
	}
	if bright == 0 || dark == 0 {
		return fmt.Errorf("the result has no edges: %d bright pixels, %d dark ones", bright, dark)
	}
	return nil
}

// refuseABadAnswer delegates a task whose answer is worth nothing.
func (d *demo) refuseABadAnswer(ctx context.Context) error {
	alpha, beta := d.platforms[0], d.platforms[1]
	before, err := d.books(ctx)
	if err != nil {
		return err
	}
	blank, err := blankPicture(64, 64)
	if err != nil {
		return err
	}
	sub, err := alpha.node.PostTask(ctx, d.task(beta.name), bytes.NewReader(d.edges), bytes.NewReader(blank))
	if _, err = alpha.final(ctx, sub, err); err != nil {
		return err
	}
	if _, err := d.reach(ctx, alpha, sub.TaskID, view.TaskProven); err != nil {
		return err
	}
	var answer bytes.Buffer
	if _, err := alpha.node.Result(ctx, sub.TaskID.String(), &answer); err != nil {
		return err
	}
	if err := checkEdges(blank, answer.Bytes()); err == nil {
		return errors.New("there are edges in a blank picture")
	}
	refusal, err := alpha.node.Acknowledge(ctx, sub.TaskID.String(), view.Mark{Refuse: true})
	if _, err := alpha.final(ctx, refusal, err); err != nil {
		return err
	}
	settled, err := d.reach(ctx, alpha, sub.TaskID, view.TaskSettled)
	if err != nil {
		return err
	}
	after, err := d.books(ctx)
	if err != nil {
		return err
	}
	if settled.Settlement != view.SettledRollback {
		return fmt.Errorf("the task ended in %s, not in ROLLBACK", stateOf(settled))
	}
	if err := errors.Join(
		moved(before, after, alpha.name, -int64(demoFee)), moved(before, after, beta.name, 0), stood(before, after, beta.name, 0),
	); err != nil {
		return err
	}
	d.say("A second task goes to beta; in its answer there is not one edge, and alpha refuses it: ROLLBACK. "+
		"The price is back, the fee of %s is not; in class mutual beta's reputation stays as it was.", coins(demoFee))
	return nil
}

// blankPicture is a PNG with nothing in it.
func blankPicture(width, height int) ([]byte, error) {
	var b bytes.Buffer
	err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height)))
	return b.Bytes(), err
}

// task is a vision task for the platform called to.
func (d *demo) task(to string) view.NewTask {
	return view.NewTask{
		Type: demoType, Runtime: "wasm", To: to, PriceUATP: demoPrice, Verify: "mutual", OfferWindowMS: demoOffer,
	}
}

// reach waits until a platform sees a task in a state, and fails if it ends
// before.
func (d *demo) reach(ctx context.Context, a *actor, id view.CID, state view.TaskState) (view.Task, error) {
	t, err := a.node.Task(ctx, id.String())
	for err == nil && t.State != state {
		if t.State == view.TaskSettled {
			return t, fmt.Errorf("the task ended in %s before it was %s; %s", stateOf(t), state, t.Failure)
		}
		t, err = a.node.WaitTask(ctx, id.String(), t.State)
	}
	return t, err
}

// agree waits until these platforms have the same newest block, and checks
// that it means the same to all.
func (d *demo) agree(ctx context.Context, among []*actor) (view.Status, error) {
	deadline := time.Now().Add(20 * time.Second)
	for {
		all := make([]view.Status, len(among))
		g, asking := errgroup.WithContext(ctx)
		for i, a := range among {
			g.Go(func() (err error) {
				all[i], err = a.node.Status(asking)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return view.Status{}, err
		}
		same := true
		for _, st := range all {
			if st.Height == all[0].Height && (st.Block != all[0].Block || st.StateRoot != all[0].StateRoot || st.Totals != all[0].Totals) {
				return st, fmt.Errorf("at height %d, %s and %s differ: %s %s, %s %s",
					st.Height, all[0].Name, st.Name, all[0].Block, all[0].StateRoot, st.Block, st.StateRoot)
			}
			same = same && st.Height == all[0].Height
		}
		if same {
			return all[0], nil
		}
		if time.Now().After(deadline) {
			return all[0], errors.New("the platforms do not come to the same height")
		}
		select {
		case <-ctx.Done():
			return all[0], ctx.Err()
		case <-time.After(glance):
		}
	}
}
