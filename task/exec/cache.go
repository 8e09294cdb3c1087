package exec

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// maxCache is how much compiled code is kept, in bytes, before the run that
// adds to it. A program of 3 MB compiles to about 10.
const maxCache = 512 << 20

// A compilationCache keeps the compiled code of programs, one directory each
// below dir, named by the program's hash. What was not used for the longest
// time goes first. Anything in it may go at any time: it is only speed.
type compilationCache struct {
	dir string
}

// entry returns the directory of a program, which exists and is now the newest.
func (c compilationCache) entry(program string) (string, error) {
	path := filepath.Join(c.dir, program)
	now := time.Now()
	if err := os.Chtimes(path, now, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := c.trim(maxCache); err != nil {
		return "", err
	}
	return path, os.MkdirAll(path, 0o700)
}

// trim removes the oldest entries until what is left is at most maxBytes.
func (c compilationCache) trim(maxBytes int64) error {
	type entry struct {
		path string
		used time.Time
		size int64
	}
	var entries []entry
	var total int64
	dirs, err := os.ReadDir(c.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, d := range dirs {
		info, err := d.Info()
		if err != nil {
			continue // removed by another run
		}
		path := filepath.Join(c.dir, d.Name())
		size := diskUse(path)
		total += size
		entries = append(entries, entry{path, info.ModTime(), size})
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.path, b.path))
	})
	for ; total > maxBytes; entries = entries[1:] {
		if err := os.RemoveAll(entries[0].path); err != nil {
			return err
		}
		total -= entries[0].size
	}
	return nil
}

// diskUse is the size of the files below a directory. What disappears while it
// looks counts nothing.
func diskUse(dir string) (total int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}
