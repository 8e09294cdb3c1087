package signer

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/sage-p2p/sage-p2p/bft"
)

// IDOf says whose key a home holds. It takes nothing, so that a node may run on the
// home meanwhile. That there is no key is fs.ErrNotExist.
func IDOf(home string) (bft.ID, error) {
	key, err := readKey(filepath.Join(home, KeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return bft.ID{}, fmt.Errorf("signer: %w", err)
	}
	if err != nil {
		return bft.ID{}, fmt.Errorf("%w: %w: put the key back from its backup", ErrNeedsRecovery, err)
	}
	return NewKey(key).ID(), nil
}
