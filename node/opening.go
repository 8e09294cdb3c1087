package node

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain/store"
)

// suspectFile is there while the store is being opened, and holds how often that
// was tried: badger may end the process over a damaged table, which nothing in it
// can catch. It is also left by a node that ends because of damage, so that the
// next start looks at the store although it was closed in good order.
const suspectFile = "store.suspect"

// openTries is how often a store that ends the process is opened.
const openTries = 2

// suspect notes that the node ends because of damage.
func (n *Node) suspect(why error) error {
	if !damaged(why) {
		return nil
	}
	return writeDurably(n.cfg.Home, suspectFile, []byte("0\n"+why.Error()+"\n"))
}

// openStore opens the store of a home. A damaged one is set aside: the chain
// comes back from peers.
func openStore(cfg Config, log *slog.Logger) (*store.Store, error) {
	dir := filepath.Join(cfg.Home, "store")
	tries, suspected := triedToOpen(cfg.Home)
	err := fmt.Errorf("%w: opening it ended the process %d times", store.ErrCorrupt, tries)
	var s *store.Store
	if tries < openTries {
		if err := writeDurably(cfg.Home, suspectFile, fmt.Appendln(nil, tries+1)); err != nil {
			return nil, err
		}
		s, err = openExamined(dir, cfg.Profile, suspected)
	}
	if errors.Is(err, store.ErrCorrupt) {
		aside, asideErr := store.SetAside(dir, time.Now())
		if asideErr != nil {
			return nil, errors.Join(err, asideErr)
		}
		log.Error("the store is damaged: it was set aside, and the chain is fetched from peers", "aside", aside, "err", err)
		s, err = store.Open(dir, cfg.Profile)
	}
	if cleared := removeDurably(cfg.Home, suspectFile); err != nil || cleared != nil {
		if s != nil {
			cleared = errors.Join(cleared, s.Close())
		}
		return nil, errors.Join(err, cleared)
	}
	return s, nil
}

// triedToOpen returns how often the store was opened in vain, and whether there
// is any reason to suspect it.
func triedToOpen(home string) (tries int, suspected bool) {
	raw, err := os.ReadFile(filepath.Join(home, suspectFile))
	if err != nil {
		return 0, !errors.Is(err, fs.ErrNotExist)
	}
	if _, err := fmt.Sscan(string(raw), &tries); err != nil {
		return 0, true
	}
	return tries, true
}

func openExamined(dir string, p store.Profile, suspected bool) (*store.Store, error) {
	s, err := store.Open(dir, p)
	if err != nil {
		return nil, err
	}
	if err := examine(s, suspected); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// examine looks for damage in a store that was not closed in good order, or
// that is suspected of it.
func examine(s *store.Store, suspected bool) error {
	_, err := s.Head()
	if errors.Is(err, store.ErrNotFound) {
		return nil // it is empty
	}
	if err != nil || s.Clean() && !suspected {
		return err
	}
	return s.Check(bft.ZIP215{}, store.CheckDepth)
}
