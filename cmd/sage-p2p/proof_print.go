package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
)

// founderNames are the names that the genesis itself gives.
func founderNames(g chain.Genesis) names {
	n := make(names)
	for _, f := range g.Founders {
		n[f.ID.ID] = f.Name
	}
	return n
}

// printWalk says how far trust has come from the genesis.
func printWalk(w io.Writer, g chain.Genesis, proven chain.Proven) {
	fmt.Fprintf(w, "trusted: the genesis %s of %s, with %s\n", short(proven.Genesis.String()), clean(g.Network), plural(len(g.Validators), "validator", "validators"))
	for _, b := range proven.Blocks {
		fmt.Fprintf(w, "block %d · %s · %d of %s signed, %s needed\n",
			b.Height, clock(b.Time), b.Signatures, plural(b.Validators, "validator", "validators"), plural(b.Quorum, "is", "are"))
		if b.Next > 0 {
			fmt.Fprintf(w, "    its header changes the validators: %s from block %d on\n", plural(b.Next, "decides", "decide"), b.Height+1)
		}
	}
}

func printProven(w io.Writer, g chain.Genesis, proven chain.Proven) {
	printWalk(w, g, proven)
	known := founderNames(g)
	if t := proven.Task; t != nil {
		for _, s := range t.Steps {
			printProvenStep(w, s, known)
		}
		printProvenTask(w, t, known)
		return
	}
	a := proven.Account
	fmt.Fprintf(w, "account by a path of %s from the state of block %d\n", plural(a.Nodes, "node", "nodes"), a.Height)
	if !a.Known {
		fmt.Fprintf(w, "proven: there is no account %s: it has nothing and sent nothing\n", a.ID)
		return
	}
	fmt.Fprintf(w, "proven: account %s\n", a.ID)
	facts(w,
		[2]string{"name", clean(known[a.ID.ID])},
		[2]string{"available", coins(a.Account.Available)},
		[2]string{"locked", coins(a.Account.Locked)},
		[2]string{"bonded", coins(a.Account.Bonded)},
		[2]string{"sent", plural(int(a.Account.Nonce), "transaction", "transactions")},
	)
}

func printProvenStep(w io.Writer, s chain.ProvenStep, known names) {
	fmt.Fprintf(w, "receipt %d of block %d, by a path of %s\n", s.Position, s.Height, plural(s.ReceiptNodes, "node", "nodes"))
	if s.Tx.Defined() {
		fmt.Fprintf(w, "    transaction %s signed by %s, by a path of %s\n", short(s.Tx.String()), known.of(s.By.ID), plural(s.TxNodes, "node", "nodes"))
	} else {
		fmt.Fprintln(w, "    of a deadline, which nobody signs")
	}
	for _, e := range s.Events {
		for _, line := range eventLines(e, known) {
			fmt.Fprintf(w, "    %s\n", line)
		}
	}
}

// eventLines are what an event of a task says, with its amounts.
func eventLines(e chain.Event, known names) []string {
	switch f := e.Fact.(type) {
	case *task.Moved:
		return []string{fmt.Sprintf("%s: the task is %s", clean(string(f.Step)), strings.ToLower(clean(string(f.To))))}
	case *task.Locked:
		return []string{fmt.Sprintf("%s of %s locked: price and fee", coins(f.Amount), known.of(f.Payer.ID))}
	case *task.Engaged:
		return []string{
			fmt.Sprintf("%s bonded by %s", coins(f.Bond), known.of(f.Executor.ID)),
			fmt.Sprintf("of the fee %s discharged, %s to the pool", coins(f.Discharged), coins(f.ToPool)),
		}
	case *task.Paid:
		return paidLines(*f, known)
	case *task.Challenged, *task.Drawn, *task.Revealed, *task.Judged, *task.SeatPaid:
		return []string{witnessLine(f, known)}
	case *task.ReputationChanged:
		return []string{fmt.Sprintf("reputation of %s as %s: %s → %s (%s)", known.of(f.Who.ID),
			clean(strings.TrimSpace(string(f.Type)+" "+string(f.Role))), share(view.PPM(f.Old)), share(view.PPM(f.New)), clean(string(f.Cause)))}
	}
	return nil
}

// witnessLine is what an event of a task's witnesses says.
func witnessLine(fact chain.Fact, known names) string {
	switch f := fact.(type) {
	case *task.Challenged:
		return fmt.Sprintf("%s bonded by %s", coins(f.Bond), known.of(f.By.ID))
	case *task.Drawn:
		switch n := len(f.Seats); {
		case n > 0:
			return fmt.Sprintf("%s drawn of %s, by the beacon of block %d", plural(n, "witness", "witnesses"), plural(int(f.Candidates), "society", "societies"), f.Height)
		case f.Height == 0:
			return fmt.Sprintf("not drawn: %s could witness", plural(int(f.Candidates), "society", "societies"))
		}
		return fmt.Sprintf("not drawn for an audit, of probability %s, by the beacon of block %d", share(view.PPM(f.Audit)), f.Height)
	case *task.Revealed:
		return fmt.Sprintf("%s says %s", known.of(f.Witness.ID), clean(f.Answer.String()))
	case *task.Judged:
		return fmt.Sprintf("%s, by %d of %s with a score", clean(string(f.Verdict)), f.Scores, plural(int(f.Seats), "witness", "witnesses"))
	case *task.SeatPaid:
		return fmt.Sprintf("%s to the witness %s, %s slashed", coins(f.Pay), known.of(f.Witness.ID), coins(f.Slashed))
	}
	return ""
}

func paidLines(f task.Paid, known names) []string {
	bonded := f.Bond + f.Dispute + f.Appeal // parts of the supply
	lines := []string{fmt.Sprintf("%s: %s locked and %s bonded are paid out", clean(string(f.Outcome)), coins(f.Lock), coins(bonded))}
	for _, leg := range []struct {
		amount atp.Amount
		text   string
	}{
		{f.ToRequester, "to the requester " + known.of(f.Requester.ID)},
		{f.ToExecutor, "to the executor " + known.of(f.Executor.ID.ID)},
		{f.ToSeats, "to witnesses"},
		{f.ToPool, "to the pool"},
		{f.FromPool, "of it from the pool"},
	} {
		if leg.amount > 0 {
			lines = append(lines, coins(leg.amount)+" "+leg.text)
		}
	}
	return lines
}

// pathText says how a task came to its end. The proof does not tell a requester who
// accepted from one who was silent.
func pathText(p task.Path) string {
	switch p {
	case task.PostedEnds:
		return "no one accepted it, or it was taken back"
	case task.Unaudited:
		return "accepted, without witnesses"
	}
	return strings.ReplaceAll(clean(string(p)), "_", " ")
}

func printProvenTask(w io.Writer, t *chain.ProvenTask, known names) {
	fmt.Fprintf(w, "proven: task %s\n", t.ID)
	result, mark := "", ""
	if t.Result != nil {
		result = fmt.Sprintf("%s, %d bytes", t.Result.Result, t.Result.Size)
	}
	if t.Mark != nil {
		mark = share(view.PPM(*t.Mark))
	}
	executor := ""
	if !t.Paid.Executor.IsZero() {
		executor = known.of(t.Paid.Executor.ID.ID)
	}
	facts(w,
		[2]string{"ended with", fmt.Sprintf("%s (%s)", clean(string(t.Paid.Outcome)), pathText(t.Paid.Path))},
		[2]string{"type", fmt.Sprintf("%s, at least %s", clean(string(t.Terms.Type)), share(view.PPM(t.Terms.MinQuality)))},
		[2]string{"requester", known.of(t.Requester.ID)},
		[2]string{"executor", executor},
		[2]string{"price", coins(t.Terms.Price)},
		[2]string{"program", t.Terms.Program.String()},
		[2]string{"input", t.Terms.Input.String()},
		[2]string{"result", result},
		[2]string{"its mark", mark},
	)
}

// What verify prints with --json.
type (
	provenFile struct {
		Network string                 `json:"network"`
		Genesis string                 `json:"genesis"`
		Blocks  view.List[provenBlock] `json:"blocks"`
		Task    *provenTask            `json:"task,omitempty"`
		Account *provenAccount         `json:"account,omitempty"`
	}
	provenBlock struct {
		Height     view.Height `json:"height"`
		ID         view.CID    `json:"id"`
		TimeMS     view.Millis `json:"time_ms"`
		StateRoot  view.CID    `json:"state_root"`
		Signatures int         `json:"signatures"`
		Quorum     int         `json:"quorum"`
		Validators int         `json:"validators"`
		Next       int         `json:"next_validators"` // 0: unchanged
	}
	provenTask struct {
		ID         view.CID              `json:"id"`
		Requester  peer.ID               `json:"requester"`
		Executor   peer.ID               `json:"executor,omitempty"`
		Terms      task.Terms            `json:"terms"`
		Result     *task.Proof           `json:"result,omitempty"`
		MarkPPM    *task.PPM             `json:"mark_ppm,omitempty"`
		Settlement view.Settlement       `json:"settlement"`
		Paid       task.Paid             `json:"paid"`
		Steps      view.List[provenStep] `json:"steps"`
	}
	provenStep struct {
		Height       view.Height   `json:"height"`
		Position     int           `json:"position"`
		TimeMS       view.Millis   `json:"time_ms"`
		Tx           view.CID      `json:"tx,omitzero"` // absent: a deadline
		By           peer.ID       `json:"by,omitempty"`
		TxNodes      int           `json:"tx_path_nodes"`
		ReceiptNodes int           `json:"receipt_path_nodes"`
		Events       []chain.Event `json:"events"`
	}
	provenAccount struct {
		PeerID        peer.ID     `json:"peer_id"`
		Known         bool        `json:"known"`
		AvailableUATP view.Amount `json:"available_uatp"`
		LockedUATP    view.Amount `json:"locked_uatp"`
		BondedUATP    view.Amount `json:"bonded_uatp"`
		Nonce         uint64      `json:"nonce"`
		Height        view.Height `json:"height"`
		Nodes         int         `json:"path_nodes"`
	}
)

// viewProven is what was proven, as JSON shows it.
func viewProven(g chain.Genesis, p chain.Proven) provenFile {
	v := provenFile{Network: g.Network, Genesis: p.Genesis.String()}
	for _, b := range p.Blocks {
		v.Blocks = append(v.Blocks, provenBlock{
			Height: view.Height(b.Height), ID: view.CID{Cid: b.ID}, TimeMS: b.Time, StateRoot: view.CID{Cid: b.StateRoot},
			Signatures: b.Signatures, Quorum: b.Quorum, Validators: b.Validators, Next: b.Next,
		})
	}
	if a := p.Account; a != nil {
		v.Account = &provenAccount{
			PeerID: a.ID.ID, Known: a.Known, AvailableUATP: a.Account.Available, LockedUATP: a.Account.Locked, BondedUATP: a.Account.Bonded,
			Nonce: a.Account.Nonce, Height: view.Height(a.Height), Nodes: a.Nodes,
		}
		return v
	}
	t := p.Task
	v.Task = &provenTask{
		ID: view.CID{Cid: t.ID}, Requester: t.Requester.ID, Executor: t.Paid.Executor.ID.ID, Terms: t.Terms, Result: t.Result, MarkPPM: t.Mark,
		Settlement: view.Settlement(t.Paid.Outcome), Paid: t.Paid,
	}
	for _, s := range t.Steps {
		v.Task.Steps = append(v.Task.Steps, provenStep{
			Height: view.Height(s.Height), Position: s.Position, TimeMS: s.Time, Tx: view.CID{Cid: s.Tx}, By: s.By.ID,
			TxNodes: s.TxNodes, ReceiptNodes: s.ReceiptNodes, Events: s.Events,
		})
	}
	return v
}
