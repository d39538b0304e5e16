//! Brackets, bars and environments.

use super::super::expression::{Constant, Function, Id, Node, Unary};
use super::super::lexer::Token;
use super::super::{DEPTH, Refusal};
use super::{Operator, Parser, Step, strength};

impl Parser<'_> {
    pub(super) fn open(&mut self, sign: char) -> Step {
        self.operand()?;
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Refusal::Budget);
        }
        self.operators.push(Operator::Open { sign, rows: Vec::new(), row: Vec::new() });
        Ok(())
    }

    pub(super) fn begin(&mut self, name: &str) -> Step {
        const MATRICES: &[&str] = &["matrix", "pmatrix", "bmatrix", "Bmatrix", "array", "smallmatrix"];
        let sign = match name {
            _ if MATRICES.contains(&name) => 'M',
            "vmatrix" => 'D',
            "cases" | "dcases" | "rcases" => 'C',
            "aligned" | "align" | "gathered" | "gather" | "split" | "alignedat" | "equation" => 'A',
            _ => return Err(Refusal::Unparsable),
        };
        self.open(sign)
    }

    /// Ends an entry of a matrix.
    pub(super) fn cell(&mut self) -> Step {
        let innermost = self.operators.iter().rev().find_map(|operator| match operator {
            Operator::Open { sign, .. } => Some(*sign),
            _ => None,
        });
        let relation = matches!(
            self.peek(),
            Some(Token::Sign('=' | '<' | '>' | '≤' | '≥' | '≠' | '≈' | '∈') | Token::Relation(..))
        );
        match innermost {
            // The mark only aligns: `x &= 1`.
            Some('A') => Ok(()),
            Some('C') if relation => Ok(()),
            Some('M' | 'D' | 'C') => self.end_entry(),
            _ => Err(Refusal::Unparsable),
        }
    }

    pub(super) fn end_entry(&mut self) -> Step {
        if !self.ready {
            // `&=` in an aligned environment, or an empty row.
            return match self.operators.last() {
                Some(Operator::Open { sign: 'A' | 'C', .. }) => Ok(()),
                _ => Err(Refusal::Unparsable),
            };
        }
        self.reduce(strength::ROWS, false)?;
        let entry = self.pop()?;
        self.ready = false;
        match self.operators.last_mut() {
            Some(Operator::Open { row, .. }) => row.push(entry),
            _ => return Err(Refusal::Unparsable),
        }
        Ok(())
    }

    pub(super) fn row(&mut self) -> Step {
        let in_rows = self
            .operators
            .iter()
            .any(|operator| matches!(operator, Operator::Open { sign: 'M' | 'D' | 'A' | 'C', .. }));
        if !in_rows {
            // A line break, or a command with a doubled backslash: there is nothing to parse.
            return if self.ready { self.infix(Operator::Comma) } else { Ok(()) };
        }
        self.end_entry()?;
        self.separators += 1;
        match self.operators.last_mut() {
            Some(Operator::Open { rows, row, .. }) => rows.push(std::mem::take(row)),
            _ => return Err(Refusal::Unparsable),
        }
        Ok(())
    }

    pub(super) fn close(&mut self, sign: char) -> Step {
        if !self.ready
            && matches!(
                self.operators.last(),
                Some(Operator::Comma | Operator::Or | Operator::Both | Operator::Semicolon)
            )
        {
            self.operators.pop();
            self.ready = true;
        }
        if self.ready {
            self.reduce(strength::ROWS, false)?;
        }
        if sign == 'E' {
            return self.close_environment();
        }
        let Some(Operator::Open { sign: open, .. }) = self.operators.pop() else {
            return Err(Refusal::Unparsable);
        };
        self.depth -= 1;
        if !closes(open, sign) {
            return Err(Refusal::Unparsable);
        }
        let item = if self.ready { Some(self.pop()?) } else { None };
        let id = self.group(open, sign, item)?;
        self.deliver(id, matches!(open, '(' | '{' | '['))
    }

    pub(super) fn group(&mut self, open: char, close: char, item: Option<Id>) -> Result<Id, Refusal> {
        let node = match (open, item) {
            ('|' | '⟦', Some(item)) if matches!(self.arena.node(item), Node::Matrix(_)) => {
                let Node::Matrix(rows) = self.arena.node(item).clone() else {
                    return Err(Refusal::Unparsable);
                };
                return self.determinant(&rows);
            }
            ('|' | '‖' | '⟦', Some(item)) => Node::Call(Function::Abs, vec![item]),
            ('⌊', Some(item)) => Node::Call(Function::Floor, vec![item]),
            ('⌈', Some(item)) => Node::Call(Function::Ceiling, vec![item]),
            ('⟨', Some(item)) => Node::Group('(', ')', Some(item)),
            ('S', None) => Node::Constant(Constant::Empty),
            ('S', Some(item)) => Node::Group('S', 's', Some(item)),
            ('(' | '[', Some(item)) => Node::Group(open, close, Some(item)),
            ('{', Some(item)) => match self.arena.node(item) {
                Node::List(_) | Node::Rows(_) | Node::Unary(Unary::PlusMinus(_), _) => {
                    Node::Group('S', 's', Some(item))
                }
                Node::Number { .. } => return Ok(item),
                _ => Node::Group('{', '}', Some(item)),
            },
            _ => return Err(Refusal::Unparsable),
        };
        Ok(self.push(node))
    }

    pub(super) fn close_environment(&mut self) -> Step {
        if self.ready {
            self.end_entry()?;
        }
        let Some(Operator::Open { sign, mut rows, row }) = self.operators.pop() else {
            return Err(Refusal::Unparsable);
        };
        self.depth -= 1;
        if !row.is_empty() {
            rows.push(row);
        }
        rows.retain(|row| !row.is_empty());
        if rows.is_empty() || !matches!(sign, 'M' | 'D' | 'A' | 'C') {
            return Err(Refusal::Unparsable);
        }
        let pairs: Option<Vec<[Id; 2]>> = rows.iter().map(|row| row.as_slice().try_into().ok()).collect();
        let id = match (sign, pairs) {
            // An array of one entry is that entry.
            ('M', _) if rows.len() == 1 && rows[0].len() == 1 => rows[0][0],
            ('M', _) => self.push(Node::Matrix(rows)),
            ('D', _) => self.determinant(&rows)?,
            ('C', Some(pairs)) => self.push(Node::Cases(pairs)),
            _ => match rows.concat().as_slice() {
                [single] => *single,
                all => {
                    let all = self.continued(all.to_vec());
                    self.push(Node::List(all))
                }
            },
        };
        self.ready = false;
        // A matrix inside its own brackets is only the matrix.
        self.deliver(id, false)
    }
}

fn closes(open: char, close: char) -> bool {
    matches!(
        (open, close),
        ('(', ')' | ']')
            | ('[', ']' | ')')
            | ('{', '}')
            | ('S', 's')
            | ('⟨', '⟩')
            | ('⌊', '⌋')
            | ('⌈', '⌉')
            | ('⟦', '⟧' | '|')
            | ('|', '|' | '⟧')
            | ('‖', '‖')
    )
}
