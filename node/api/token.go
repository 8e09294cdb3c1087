package api

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// loadToken reads the token of home, or makes one. It refuses a token that
// other users of the machine can read.
func loadToken(home string) (string, error) {
	path := filepath.Join(home, view.TokenFile)
	token, err := view.ReadToken(home)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	secret := make([]byte, view.TokenBytes)
	_, _ = rand.Read(secret) // never fails: it ends the process instead
	token = hex.EncodeToString(secret)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("api: make the token: %w", err)
	}
	_, err = f.WriteString(token + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("api: write the token: %w", errors.Join(err, os.Remove(path)))
	}
	return token, nil
}
