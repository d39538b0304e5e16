//! What all of it is for: a policy that learns, from verdicts alone, to think before it answers.
