package chain

import (
	"github.com/filecoin-project/go-hamt-ipld/v3"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Accounts reads many accounts of one state, and decodes what they share once.
// It is not for concurrent use.
type Accounts struct {
	state State
	tree  *hamt.Node // nil until the first reading; it keeps the nodes that it has read
	read  int        // accounts, since tree was loaded
}

// maxRead is after how many readings all nodes are forgotten, so that they never
// come to a large state in memory.
const maxRead = 8_192

// Accounts returns a reader of the state's accounts.
func (s State) Accounts() *Accounts { return &Accounts{state: s} }

// Get is [State.Account].
func (a *Accounts) Get(id atp.ID) (atp.Account, error) {
	if a.tree == nil || a.read >= maxRead {
		tree, err := loadMap(newOverlay(a.state.nodes), a.state.root.Accounts, hashed)
		if err != nil {
			return atp.Account{}, err
		}
		a.tree, a.read = tree, 0
	}
	a.read++
	var account atp.Account
	_, err := a.tree.Find(background(), accountKey(id), &account)
	return account, stored(err)
}
