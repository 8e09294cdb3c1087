package node

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// register publishes what this platform offers, once: its runtimes, at the
// default prices. Changing it afterwards is the operator's (platform register),
// but for the language models, which are as its settings say.
func (w *worker) register(ctx context.Context) error {
	if w.n.cfg.NoWork || len(w.n.runtimes.Names()) == 0 {
		return nil
	}
	p, done, err := w.r.state().Platform(w.n.id())
	if err != nil {
		return err
	}
	if done {
		return w.registerModels(ctx, p)
	}
	if err := w.affordable(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	p = w.n.defaultPlatform()
	err = w.registerAs(ctx, p)
	if err != nil && ctx.Err() == nil { // two machines of one name are common: "platform", "jetson"
		id := w.n.id().String()
		p.Name = task.Name(fmt.Sprintf("%.25s-%s", p.Name, strings.ToLower(id[len(id)-6:])))
		if again := w.registerAs(ctx, p); again == nil {
			w.n.log.Info("registered under another name", "name", p.Name, "err", err)
			w.n.hub.alarm(fmt.Sprintf("this platform is registered as %s: its name %q is another's in this federation", p.Name, w.n.cfg.Name))
			return nil
		}
	}
	if err != nil && ctx.Err() == nil {
		w.n.hub.alarm(fmt.Sprintf("this platform could not register, and gets no tasks: %v: try sage-p2p platform register --name ANOTHER", err))
	}
	return nil
}

// registerModels registers anew if the language models here, or their price, are
// not those of the platform's record.
func (w *worker) registerModels(ctx context.Context, p task.Platform) error {
	now := w.n.withModels(p)
	if slices.Equal(now.Runtimes, p.Runtimes) && slices.Equal(now.Offers, p.Offers) {
		return nil
	}
	if err := cmp.Or(now.Check(), w.registerAs(ctx, now)); err != nil && ctx.Err() == nil {
		w.n.hub.alarm(fmt.Sprintf("this platform could not register its language models, and is asked none of them: %v: name those to offer with sage-p2p platform register --runtime NAME", err))
	}
	return nil
}

// withModels is p with the language models that are here and no others.
func (n *Node) withModels(p task.Platform) task.Platform {
	here := n.modelsHere()
	p.Runtimes = slices.DeleteFunc(slices.Clone(p.Runtimes), func(r task.Runtime) bool {
		return strings.HasPrefix(string(r), exec.LLMPrefix) && !slices.Contains(here, string(r))
	})
	for _, name := range here {
		if !p.Runs(task.Runtime(name)) {
			p.Runtimes = append(p.Runtimes, task.Runtime(name))
		}
	}
	offer, err := n.cfg.offerLLM()
	if len(here) == 0 || err != nil { // Validate has seen the price
		return p
	}
	p.Offers = slices.Clone(p.Offers)
	i := slices.IndexFunc(p.Offers, func(o task.Offer) bool { return o.Type == offer.Type })
	switch {
	case i < 0:
		p.Offers = append(p.Offers, offer)
	case n.cfg.OpenAIPrice != "": // otherwise it may be the operator's by another way
		p.Offers[i] = offer
	}
	return p
}

// affordable waits until the platform can pay what registering costs: where
// platforms are voted in, until it was.
func (w *worker) affordable(ctx context.Context) error {
	for {
		changed := w.n.hub.Changed()
		account, err := w.r.state().Account(w.n.id())
		if err != nil || account.Available >= w.r.state().Params().MinFee {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *worker) registerAs(ctx context.Context, p task.Platform) error {
	until := max(atp.Millis(nowMillis()), w.r.state().Tip().Time).Add(atp.Day)
	return w.submit(ctx, &chain.PlatformRegister{Platform: p}, until, func(a chain.Action) bool {
		r, ok := a.(*chain.PlatformRegister)
		return ok && r.Platform.Name == p.Name
	})
}

// defaultPlatform is what a platform says of itself unless told otherwise.
func (n *Node) defaultPlatform() task.Platform {
	p := task.Platform{
		Name:     task.Name(n.cfg.Name),
		Hardware: task.Hardware{RAM: task.Size(machineRAM()), Architecture: runtime.GOARCH},
		Horizon:  task.Horizon{Spatial: task.Global, Temporal: task.Epoch, Complexity: task.SocietyWide},
	}
	for _, t := range []task.Type{task.Vision, task.SensorFusion, task.Coordination, task.Consolidation} {
		p.Offers = append(p.Offers, task.DefaultOffer(t))
	}
	for _, name := range n.runtimes.Names() {
		p.Runtimes = append(p.Runtimes, task.Runtime(name))
	}
	return n.withModels(p)
}

// machineRAM returns the machine's memory in bytes, or 0 where it is not told.
func machineRAM() uint64 {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	var kib uint64
	if _, err := fmt.Sscanf(string(raw), "MemTotal: %d kB", &kib); err != nil {
		return 0
	}
	return kib << 10
}

// Register implements api.Wallet.
func (n *Node) Register(ctx context.Context, reg view.Registration) (view.Submission, error) {
	r, err := n.ready()
	if err != nil {
		return view.Submission{}, err
	}
	p, registered, err := r.state().Platform(n.id())
	if err != nil {
		return view.Submission{}, err
	}
	if registered && reflect.DeepEqual(reg, view.Registration{}) {
		return view.Submission{}, &view.Error{
			Code: view.CodeInvalid, Message: "this platform is registered, and nothing is to change",
			Hint: "say what it offers: sage-p2p platform register with --offer TYPE=PRICE, --runtime NAME, --horizon REACH or --society NAME",
		}
	}
	if !registered {
		p = n.defaultPlatform()
	}
	overlay(&p, reg)
	if err := p.Check(); err != nil {
		return view.Submission{}, refuse(err)
	}
	if err := cmp.Or(n.runsAll(reg.Runtimes), n.mayRegister(r.state(), p), n.afford(r)); err != nil {
		return view.Submission{}, err
	}
	tx, err := r.wallet.submit(ctx, &chain.PlatformRegister{Platform: p}, 0)
	return view.Submission{TxID: viewCID(tx.ID())}, err
}

// runsAll refuses runtimes that are not here: a task for one would be accepted by
// nobody.
func (n *Node) runsAll(names []string) error {
	for _, name := range names {
		if _, err := n.runtimes.Runtime(name); err == nil {
			continue
		}
		here := n.runtimes.Names()
		if len(here) == 0 {
			return &view.Error{Code: view.CodeInvalid, Message: fmt.Sprintf("this node has no runtime %s: it has none", name), Hint: "leave the runtimes out"}
		}
		return &view.Error{
			Code: view.CodeInvalid, Message: fmt.Sprintf("this node has no runtime %s: it has %s", name, strings.Join(here, ", ")),
			Hint: "name all that it is to offer: sage-p2p platform register --runtime " + strings.Join(here, " --runtime "),
		}
	}
	return nil
}

// mayRegister refuses, before anything is signed, a name or a society that the
// ledger would refuse.
func (n *Node) mayRegister(s chain.State, p task.Platform) error {
	no := func(hint, format string, args ...any) error {
		return &view.Error{Code: view.CodeRefused, Message: fmt.Sprintf(format, args...), Hint: hint, Height: view.Height(s.Tip().Height)}
	}
	first, named, err := s.NameOf(n.id())
	if err != nil {
		return err
	}
	if named && first != p.Name {
		return no("register without a name: a payment to the first is to reach nobody else", "this platform is %q, and a platform keeps its first name", first)
	}
	owner, taken, err := s.Named(p.Name)
	if err != nil {
		return err
	}
	if taken && owner != n.id() {
		return no("see which are taken with sage-p2p platforms, and choose another: sage-p2p platform register --name NAME", "the name %q is another platform's", p.Name)
	}
	_, own, err := s.Admitted(n.id())
	if err == nil && s.Params().Admission == chain.AdmitVote && p.Society != "" && p.Society != own {
		return no("the validators say whose a platform is: sage-p2p validator vote PLATFORM --society NAME", "this platform is not of the society %q", p.Society)
	}
	return err
}

// overlay puts what a registration says over what was there.
func overlay(p *task.Platform, reg view.Registration) {
	if reg.Name != "" {
		p.Name = task.Name(reg.Name)
	}
	if reg.Society != "" {
		p.Society = task.Society(reg.Society)
	}
	if h := reg.Hardware; h != nil {
		p.Hardware = task.Hardware{
			RAM: task.Size(h.RAMMiB) * task.MiB, Accelerators: h.AcceleratorCores, Power: h.PowerMilliwatts, Architecture: h.Architecture,
		}
	}
	if h := reg.Horizon; h != nil {
		p.Horizon = horizonOver(p.Horizon, *h)
	}
	if len(reg.Offers) > 0 {
		p.Offers = nil
	}
	for _, o := range reg.Offers {
		p.Offers = append(p.Offers, task.Offer{
			Type: task.Type(o.Type), Low: atp.Amount(o.LowUATP), Medium: atp.Amount(o.MediumUATP),
			High: atp.Amount(o.HighUATP), Critical: atp.Amount(o.CriticalUATP),
		})
	}
	if len(reg.Runtimes) > 0 {
		p.Runtimes = nil
	}
	for _, rt := range reg.Runtimes {
		p.Runtimes = append(p.Runtimes, task.Runtime(rt))
	}
}

// horizonOver puts the dimensions that h gives over those of base.
func horizonOver(base task.Horizon, h view.Horizon) task.Horizon {
	if h.Spatial != "" {
		base.Spatial = task.Spatial(h.Spatial)
	}
	if h.Temporal != "" {
		base.Temporal = task.Temporal(h.Temporal)
	}
	if h.Complexity != "" {
		base.Complexity = task.Scope(h.Complexity)
	}
	return base
}
