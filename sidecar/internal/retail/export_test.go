package retail

// Waiting counts the orders and signatures that wait for what is being written now.
func (s *Service) Waiting() int { return s.placing.Waiting() + s.signing.Waiting() }
