package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// minShort is the fewest characters that may stand for an ID.
const minShort = 4

// recent is how many tasks or blocks a short ID is looked for in.
const recent = 1000

// short is an ID given in part: its beginning and end around an ellipsis, as
// IDs are printed, or either of them alone.
type short struct {
	head, tail string
	either     bool // one text, which may be the head or the tail
}

// parseShort reads text, reporting whether it is long enough to stand for an ID.
func parseShort(text string) (short, bool) {
	for _, dots := range []string{"…", "..."} {
		if head, tail, ok := strings.Cut(text, dots); ok {
			return short{head: head, tail: tail}, len(tail) >= minShort || len(head) >= minShort
		}
	}
	return short{head: text, tail: text, either: true}, len(text) >= minShort
}

// matches reports whether id may be meant.
func (s short) matches(id string) bool {
	if s.either {
		return strings.HasPrefix(id, s.head) || strings.HasSuffix(id, s.tail)
	}
	return strings.HasPrefix(id, s.head) && strings.HasSuffix(id, s.tail)
}

// pick returns the one candidate that text can mean.
func pick(kind, text, list string, candidates []string) (string, error) {
	s, ok := parseShort(text)
	if !ok {
		return "", &view.Error{
			Code:    view.CodeInvalid,
			Message: fmt.Sprintf("%q is neither a known %s nor at least %d characters of an ID", clip(text), kind, minShort),
			Hint:    "list them with: " + list,
		}
	}
	var found []string
	for _, c := range candidates {
		if s.matches(c) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", &view.Error{
			Code:    view.CodeNotFound,
			Message: fmt.Sprintf("no %s %q is known here", kind, clip(text)),
			Hint:    "give the whole ID, or list what is known with: " + list,
		}
	default:
		return "", &view.Error{
			Code:    view.CodeAmbiguous,
			Message: fmt.Sprintf("%q fits %d IDs, among them %s and %s", clip(text), len(found), found[0], found[1]),
			Hint:    "give more characters",
		}
	}
}

// account finds the peer ID meant by a name, a peer ID or a part of one. A
// name goes before a part of an ID, and a whole ID need not be known here.
func (s *Server) account(ctx context.Context, text string) (peer.ID, error) {
	if id, err := peer.Decode(text); err == nil {
		if _, err := id.ExtractPublicKey(); err != nil {
			return "", invalid("%q is not the ID of an Ed25519 key", clip(text))
		}
		return id, nil
	}
	if strings.Contains(text, "@") {
		return "", &view.Error{Code: view.CodeUnsupported, Message: "agent accounts are not supported by this version", Hint: "name the platform alone"}
	}
	named, err := s.named(ctx)
	if err != nil {
		return "", err
	}
	seen := make(map[peer.ID]bool)
	var ids []string
	for _, n := range named {
		if n.name == text {
			return n.id, nil
		}
		if !seen[n.id] {
			seen[n.id] = true
			ids = append(ids, n.id.String())
		}
	}
	id, err := pick("account", text, "sage-p2p platforms", ids)
	if err != nil {
		return "", err
	}
	return peer.Decode(id)
}

// payee finds the account that is to be paid. Nearly every ID with a slip in it
// is the ID of nobody, and what nobody has is lost: so an account that no block
// has touched is paid only if the request says that it may be new.
func (s *Server) payee(ctx context.Context, text string, mayBeNew bool) (peer.ID, error) {
	id, err := s.account(ctx, text)
	if err != nil || mayBeNew {
		return id, err
	}
	_, err = s.node.Account(ctx, id)
	var no *view.Error
	if errors.As(err, &no) && no.Code == view.CodeNotFound {
		return "", &view.Error{
			Code: view.CodeNotFound, Height: no.Height,
			Message: fmt.Sprintf("no block has ever touched the account %s", id),
			Hint:    "compare the ID with its owner's; if it is right, and new, say so with --new",
		}
	}
	return id, err
}

// namedPeer is a peer ID with its name, if it has one.
type namedPeer struct {
	name string
	id   peer.ID
}

// named lists the accounts that a name or a short ID can mean: registered
// platforms first, for their names are unique; then validators and this node.
func (s *Server) named(ctx context.Context) ([]namedPeer, error) {
	platforms, err := s.node.Platforms(ctx)
	if err != nil {
		return nil, err
	}
	set, err := s.node.Validators(ctx)
	if err != nil {
		return nil, err
	}
	self, err := s.node.Status(ctx)
	if err != nil {
		return nil, err
	}
	var named []namedPeer
	for _, p := range platforms {
		named = append(named, namedPeer{p.Name, p.PeerID})
	}
	for _, v := range set.Members {
		named = append(named, namedPeer{v.Name, v.PeerID})
	}
	return append(named, namedPeer{self.Name, self.PeerID}), nil
}

// task finds the task meant by an ID or a part of one.
func (s *Server) task(ctx context.Context, text string) (view.CID, error) {
	return pickCID("task", text, "sage-p2p task list", func() ([]view.CID, error) {
		page, err := s.node.Tasks(ctx, view.TaskFilter{Limit: recent})
		ids := make([]view.CID, 0, len(page.Tasks))
		for _, t := range page.Tasks {
			ids = append(ids, t.ID)
		}
		return ids, err
	})
}

// lock finds the lock meant by an ID or a part of one.
func (s *Server) lock(ctx context.Context, text string) (view.CID, error) {
	return pickCID("open lock", text, "sage-p2p lock list", func() ([]view.CID, error) {
		locks, err := s.node.Locks(ctx)
		ids := make([]view.CID, 0, len(locks))
		for _, l := range locks {
			ids = append(ids, l.ID)
		}
		return ids, err
	})
}

// blockID finds the block meant by an ID or a part of one.
func (s *Server) blockID(ctx context.Context, text string) (view.CID, error) {
	return pickCID("recent block", text, "sage-p2p status", func() ([]view.CID, error) {
		headers, err := s.node.Headers(ctx, 0, recent)
		ids := make([]view.CID, 0, len(headers))
		for _, h := range headers {
			ids = append(ids, h.ID)
		}
		return ids, err
	})
}

// txID finds the transaction meant by an ID or a part of one, which is looked
// for in the newest blocks.
func (s *Server) txID(ctx context.Context, text string) (view.CID, error) {
	const blocks = 32
	return pickCID("recent transaction", text, "sage-p2p history", func() ([]view.CID, error) {
		headers, err := s.node.Headers(ctx, 0, blocks)
		if err != nil {
			return nil, err
		}
		var ids []view.CID
		for _, h := range headers {
			b, err := s.node.BlockByID(ctx, h.ID)
			if err != nil {
				return nil, err
			}
			for _, tx := range b.Transactions {
				ids = append(ids, tx.ID)
			}
		}
		return ids, nil
	})
}

// pickCID reads a whole CID, or picks the one of list that text can mean.
func pickCID(kind, text, command string, list func() ([]view.CID, error)) (view.CID, error) {
	if id, err := view.ParseCID(text); err == nil {
		return id, nil
	}
	if _, ok := parseShort(text); !ok {
		_, err := pick(kind, text, command, nil)
		return view.CID{}, err
	}
	ids, err := list()
	if err != nil {
		return view.CID{}, err
	}
	texts := make([]string, 0, len(ids))
	for _, id := range ids {
		texts = append(texts, id.String())
	}
	picked, err := pick(kind, text, command, texts)
	if err != nil {
		return view.CID{}, err
	}
	return view.ParseCID(picked)
}
