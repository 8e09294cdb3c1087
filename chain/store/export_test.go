package store

// WithTransactionLimit has a block written in one transaction only if it takes
// at most so many bytes.
func WithTransactionLimit(bytes int) Option { return func(s *Store) { s.limit = bytes } }
