//! Parses signs before, between and after operands.

use super::super::Refusal;
use super::super::expression::{Binary, Constant, Id, Node, Relation, Unary};
use super::super::lexer::Token;
use super::{DOTS, Operator, Parser, Step, strength};

impl Parser<'_> {
    pub(super) fn sign(&mut self, sign: char) -> Step {
        match sign {
            '+' | '-' | '±' | '∓' if !self.ready => match sign {
                '+' => Ok(()),
                '-' => self.prefix(Unary::Negative),
                _ => self.prefix(Unary::PlusMinus(sign == '±')),
            },
            '+' => self.infix(Operator::Binary(Binary::Add)),
            '-' => self.infix(Operator::Binary(Binary::Subtract)),
            '±' | '∓' => self.infix(Operator::Binary(Binary::PlusMinus(sign == '±'))),
            '*' => self.infix(Operator::Binary(Binary::Multiply)),
            '×' => self.infix(Operator::Binary(Binary::Cross)),
            '/' => self.infix(Operator::Binary(Binary::Divide)),
            '…' => {
                self.operand()?;
                let id = self.push(Node::Text(DOTS.to_owned()));
                self.deliver(id, false)
            }
            '^' => self.power(),
            '_' => self.index(),
            '=' => self.relation(Relation::Equal),
            '≈' => self.relation(Relation::Approximate),
            '≠' => self.relation(Relation::NotEqual),
            '<' => self.relation(Relation::Less),
            '≤' => self.relation(Relation::LessEqual),
            '>' => self.relation(Relation::Greater),
            '≥' => self.relation(Relation::GreaterEqual),
            '∈' => self.relation(Relation::In),
            ',' => self.infix(Operator::Comma),
            ';' => self.infix(Operator::Semicolon),
            ':' if self.after_text() => Err(Refusal::Unparsable),
            ':' => self.infix(Operator::Binary(Binary::Ratio)),
            '∪' => self.infix(Operator::Binary(Binary::Union)),
            '∩' => self.infix(Operator::Binary(Binary::Intersection)),
            '∖' => self.infix(Operator::Binary(Binary::Difference)),
            '!' => self.postfix(Unary::Factorial),
            '%' => self.percent(),
            '°' => self.degree(),
            '|' | '‖' => self.bar(sign),
            '√' => self.command("sqrt", false),
            'π' => self.constant(Constant::Pi),
            '∞' => self.constant(Constant::Infinity),
            '∅' => self.constant(Constant::Empty),
            '(' | '[' | '{' | 'S' | '⟨' | '⌊' | '⌈' | '⟦' => self.open(sign),
            ')' | ']' | '}' | 's' | '⟩' | '⌋' | '⌉' | '⟧' => self.close(sign),
            '&' => self.cell(),
            _ => Err(Refusal::Unparsable),
        }
    }

    pub(super) fn prefix(&mut self, unary: Unary) -> Step {
        if matches!(
            self.operators.last(),
            Some(Operator::Command { .. } | Operator::Apply(_) | Operator::Mark(_))
        ) {
            return Err(Refusal::Unparsable);
        }
        self.operators.push(Operator::Prefix(unary));
        Ok(())
    }

    pub(super) fn relation(&mut self, relation: Relation) -> Step {
        let leads = !self.ready && self.operators.is_empty() && self.operands.is_empty();
        if leads && matches!(relation, Relation::Equal | Relation::Approximate) {
            // `= 42`, `≈ 42`
            return Ok(());
        }
        self.infix(Operator::Relation(relation))
    }

    pub(super) fn power(&mut self) -> Step {
        if self.ready {
            // `90^\circ`
            let mut ahead = self.tokens[self.at..].iter().filter(|token| **token != Token::Sign('{'));
            if ahead.next() == Some(&Token::Sign('°')) {
                if self.peek() == Some(&Token::Sign('{')) {
                    self.at += 1;
                    if self.tokens.get(self.at + 1) == Some(&Token::Sign('}')) {
                        self.tokens.remove(self.at + 1);
                    }
                }
                self.at += 1;
                return self.degree();
            }
            return self.infix(Operator::Binary(Binary::Power));
        }
        match self.operators.last() {
            Some(Operator::Function { power: None, .. }) => {
                self.operators.push(Operator::Decoration(false));
                Ok(())
            }
            _ => Err(Refusal::Unparsable),
        }
    }

    pub(super) fn index(&mut self) -> Step {
        if self.ready {
            return self.infix(Operator::Binary(Binary::Index));
        }
        match self.operators.last() {
            Some(Operator::Function { subscript: None, .. }) => {
                self.operators.push(Operator::Decoration(true));
                Ok(())
            }
            _ => Err(Refusal::Unparsable),
        }
    }

    pub(super) fn postfix(&mut self, unary: Unary) -> Step {
        if !self.ready {
            return Err(Refusal::Unparsable);
        }
        let item = self.pop()?;
        let id = self.push(Node::Unary(unary, item));
        self.operands.push(id);
        Ok(())
    }

    pub(super) fn percent(&mut self) -> Step {
        let operand_follows =
            matches!(self.peek(), Some(Token::Number { .. } | Token::Letter(_) | Token::Sign('(')));
        if operand_follows {
            return self.infix(Operator::Binary(Binary::Modulo));
        }
        if self.ready {
            // The percent sign applies to all of `33\frac13` and of `25/2`.
            self.reduce(strength::MIXED, false)?;
            if self.ends_in_quotient() {
                self.reduce_one()?;
            }
        }
        self.postfix(Unary::Percent)
    }

    /// Whether a quotient of two written numbers has just ended.
    fn ends_in_quotient(&self) -> bool {
        let written = |id: &Id| matches!(self.arena.node(*id), Node::Number { .. });
        matches!(self.operators.last(), Some(Operator::Binary(Binary::Divide)))
            && matches!(self.operands.as_slice(), [.., top, bottom] if written(top) && written(bottom))
    }

    pub(super) fn degree(&mut self) -> Step {
        let angle = self.operators.iter().any(
            |operator| matches!(operator, Operator::Function { function, .. } if function.takes_angle()),
        );
        if !angle || !self.ready {
            return self.postfix(Unary::Degree);
        }
        let item = self.pop()?;
        let pi = self.push(Node::Constant(Constant::Pi));
        let half_turn = self.integer(180);
        let unit = self.push(Node::Binary(Binary::Divide, pi, half_turn));
        let id = self.push(Node::Binary(Binary::Multiply, item, unit));
        self.operands.push(id);
        Ok(())
    }

    pub(super) fn bar(&mut self, sign: char) -> Step {
        let innermost = self.operators.iter().rev().find_map(|operator| match operator {
            Operator::Open { sign, .. } => Some(*sign),
            _ => None,
        });
        // `|x||y|` is no double bar.
        if sign == '‖' && self.ready && innermost == Some('|') {
            self.close('|')?;
            return self.open('|');
        }
        if self.ready && innermost == Some(sign) { self.close(sign) } else { self.open(sign) }
    }
}
