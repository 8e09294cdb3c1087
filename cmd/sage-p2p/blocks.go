package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func (p program) block() *cli.Command {
	return &cli.Command{
		Name: "block", ArgsUsage: "HEIGHT|ID", Usage: "a final block with its transactions and events",
		Action: p.speaks(1, 1, func(s *session) error {
			b, err := s.node.Block(s.Context.Context, s.Args().First())
			if err != nil {
				return err
			}
			known, err := s.names()
			if err != nil {
				return err
			}
			return s.show(b, func(w io.Writer) { printBlock(w, b, known) })
		}),
	}
}

func printBlock(w io.Writer, b view.Block, known names) {
	var signers []string
	for _, id := range b.Certificate.Signers {
		signers = append(signers, known.of(id))
	}
	certificate := ""
	if len(signers) > 0 {
		certificate = fmt.Sprintf("view %d, %s: %s", b.Certificate.View, plural(len(signers), "signer", "signers"), strings.Join(signers, " "))
	}
	parent := ""
	if !b.Parent.IsZero() {
		parent = short(b.Parent.String())
	}
	fmt.Fprintf(w, "block %d\n", b.Height)
	facts(w,
		[2]string{"id", b.ID.String()},
		[2]string{"parent", parent},
		[2]string{"time", clock(b.TimeMS)},
		[2]string{"proposer", known.of(b.Proposer)},
		[2]string{"state root", b.StateRoot.String()},
		[2]string{"certificate", certificate},
	)
	table(w, "TRANSACTION|FROM|NONCE|OPERATIONS|RESULT", func(row func(...any)) {
		for _, tx := range b.Transactions {
			row(short(tx.ID.String()), known.of(tx.From), tx.Nonce, kinds(tx.Ops), result(tx))
		}
	})
	if len(b.Events) > 0 {
		table(w, "EVENT|ABOUT", func(row func(...any)) {
			for _, e := range b.Events {
				row(clean(e.Name), short(clean(e.Subject)))
			}
		})
	}
}

func kinds(ops []view.Op) string {
	var names []string
	for _, op := range ops {
		names = append(names, clean(op.Kind))
	}
	return strings.Join(names, " ")
}

// result is what became of a transaction.
func result(tx view.Tx) string {
	switch {
	case tx.State != view.TxFinal:
		return string(tx.State)
	case !tx.OK:
		return "refused: " + clean(reason(tx.Error))
	default:
		return "done"
	}
}

func (p program) tx() *cli.Command {
	return &cli.Command{
		Name: "tx", ArgsUsage: "ID", Usage: "a transaction and what became of it",
		Action: p.speaks(1, 1, func(s *session) error {
			tx, err := s.node.Tx(s.Context.Context, s.Args().First())
			if err != nil {
				return err
			}
			known, err := s.names()
			if err != nil {
				return err
			}
			return s.show(tx, func(w io.Writer) { printTx(w, tx, known) })
		}),
	}
}

func printTx(w io.Writer, tx view.Tx, known names) {
	fmt.Fprintf(w, "transaction %s\n", tx.ID)
	block := ""
	if tx.State == view.TxFinal {
		block = fmt.Sprintf("%d · %s", tx.Height, short(tx.Block.String()))
	}
	facts(w,
		[2]string{"from", fmt.Sprintf("%s, nonce %d", known.of(tx.From), tx.Nonce)},
		[2]string{"fee", coins(tx.FeeUATP)},
		[2]string{"result", result(tx)},
		[2]string{"hint", clean(tx.Hint)},
		[2]string{"block", block},
	)
	for _, op := range tx.Ops {
		fmt.Fprintf(w, "asked for %s\n", clean(op.Kind))
		details(w, op.Data, known)
	}
	for _, e := range tx.Events {
		fmt.Fprintf(w, "→ %s\n", clean(e.Name))
		details(w, e.Data, known)
	}
}
