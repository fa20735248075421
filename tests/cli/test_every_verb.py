# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What all verbs have in common: options, help, examples, and the page about them."""

import re
import shlex
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from torchgeo_hsi.cli import _options
from torchgeo_hsi.cli._verb import EXIT_CODES, Verb
from torchgeo_hsi.main import cli
from torchgeo_hsi.plugins import builtin
from torchgeo_hsi.plugins.manager import PluginHost

ROOT = Path(__file__).parents[2]

#: Verbs that hand all arguments over.
HANDED = ('fit', 'validate', 'test', 'predict')

#: Options whose help depends on the verb; all else is the same everywhere.
OWN_HELP = {
    '--config',
    '--gas',
    '--labels',
    '--method',
    '--model',
    '--open',
    '--output',
    '--overlap',
    '--passes',
    '--ratio',
    '--set',
    '--size',
    '--tile-size',
    '--weights',
}

#: Options with a default, or choices, of each verb's own.
OWN_DEFAULT = {
    '--gas',
    '--labels',
    '--method',
    '--output',
    '--overlap',
    '--passes',
    '--size',
    '--tile-size',
}


def verbs() -> dict[str, click.Command]:
    """Return our own verbs by their words."""
    host = PluginHost()
    host.register(builtin, 'ours')
    commands = host.registry('commands')
    found: dict[str, click.Command] = {}
    for name in commands:
        command = commands.get(name)
        if isinstance(command, click.Group):
            found |= {f'{name} {word}': c for word, c in command.commands.items()}
        else:
            found[name] = command
    return found


VERBS = verbs()


def options(command: click.Command) -> Iterator[click.Option]:
    yield from (word for word in command.params if isinstance(word, click.Option))


def kind(option: click.Option) -> Any:
    """Describe what an option takes."""
    return option.type.to_info_dict(), option.multiple, option.is_flag


class TestOptions:
    def test_one_name_is_one_thing(self) -> None:
        """The same help, type, default and metavar, whatever the verb."""
        seen: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        for verb, command in VERBS.items():
            for option in options(command):
                facts = {
                    'help': option.help,
                    'kind': str(kind(option)),
                    'default': str(option.default),
                    'metavar': option.metavar,
                    'opts': str(option.opts),
                }
                for fact, value in facts.items():
                    seen[option.opts[0]][fact].append((value, verb))
        differ = []
        for name, facts in seen.items():
            for fact, values in facts.items():
                if fact == 'help' and name in OWN_HELP:
                    continue
                if name in OWN_DEFAULT:
                    continue
                if len({value for value, _ in values}) > 1:
                    differ.append((name, fact, values))
        assert not differ

    @pytest.mark.parametrize('verb', VERBS)
    def test_every_option_says_what_it_is(self, verb: str) -> None:
        for option in options(VERBS[verb]):
            assert option.help, option.opts
            assert option.help.endswith('.') or option.name == 'as_json', option.opts
            if not (option.is_flag or isinstance(option.type, click.Choice)):
                assert option.metavar, option.opts

    @pytest.mark.parametrize('verb', VERBS)
    def test_what_goes_together(self, verb: str) -> None:
        """Verbs that write much can be asked first; their words are for programs, too."""
        names = {option.opts[0] for option in options(VERBS[verb])}
        outputs = [p for p in VERBS[verb].params if p.name == 'output']
        if verb == 'convert' or outputs:
            assert {'--overwrite', '--dry-run', '--json', '--quiet'} <= names
        if '--report' in names:
            assert {'--json', '--quiet'} <= names

    def test_output_is_the_last_argument(self) -> None:
        for command in VERBS.values():
            words = [p for p in command.params if isinstance(p, click.Argument)]
            assert 'output' not in [word.name for word in words[:-1]]


class TestHelp:
    @pytest.mark.parametrize('verb', VERBS)
    def test_summary_paragraph_and_examples(self, verb: str) -> None:
        command = VERBS[verb]
        assert isinstance(command, Verb)
        summary, *rest = (command.help or '').split('\n\n')
        assert summary.endswith('.')
        assert len(summary.splitlines()) == 1
        assert rest
        assert command.examples
        shown = command.get_help(click.Context(command, info_name=verb))
        for line in command.examples:
            assert f'  {line}\n' in f'{shown}\n'
            assert len(line) <= 86

    @pytest.mark.parametrize(
        'line', [line for v in VERBS.values() for line in getattr(v, 'examples', ())]
    )
    def test_examples_parse(self, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
        # files that are named need not be there
        convert = click.Path.convert

        def take(self: click.Path, *words: Any) -> Any:
            monkeypatch.setattr(self, 'exists', False)
            return convert(self, *words)

        monkeypatch.setattr(click.Path, 'convert', take)
        monkeypatch.setattr(_options, 'find_config', lambda word: word)
        program, *words = shlex.split(re.split(r' [>|]', line)[0])
        assert program == 'torchgeo-hsi'
        command: click.Command = cli
        context = click.Context(cli, info_name=program)
        while isinstance(command, click.Group):
            name, found, words = command.resolve_command(context, words)
            assert found is not None
            command = found
        with command.make_context(str(name), list(words), parent=context):
            pass

    def test_exit_codes(self) -> None:
        shown = CliRunner().invoke(cli, ['--help']).output
        for code, meaning in EXIT_CODES:
            assert re.search(
                rf'^  {code} +{re.escape(meaning[:20])}', shown, re.MULTILINE
            )


class TestPage:
    """``docs/cli.rst`` knows every verb and every option, and no others."""

    text = (ROOT / 'docs' / 'cli.rst').read_text(encoding='utf-8')

    def section(self, verb: str) -> str:
        title = verb if verb not in HANDED else ', '.join(HANDED)
        found = re.search(
            rf'^{re.escape(title)}\n[-~]+\n(.*?)(?=^[^\n]+\n[-~]{{3,}}\n|\Z)',
            self.text,
            re.MULTILINE | re.DOTALL,
        )
        assert found is not None, f'no section {title}'
        return found[1]

    @pytest.mark.parametrize('verb', VERBS)
    def test_verb(self, verb: str) -> None:
        section = self.section(verb)
        written = set(re.findall(r'(?<![\w-])--[a-z][a-z_-]+', section))
        shared = set(re.findall(r'(?<![\w-])--[a-z][a-z_-]+', self.section('Options')))
        known = {o for option in options(VERBS[verb]) for o in option.opts}
        known |= {o for option in options(VERBS[verb]) for o in option.secondary_opts}
        known = {o for o in known if o.startswith('--')}
        missing = known - written - shared
        assert not missing, f'{verb}: {missing} are not on the page'
        configuration = {'--data', '--model', '--trainer', '--dataset', '--ckpt_path'}
        others = {o for v in VERBS.values() for p in options(v) for o in p.opts}
        unknown = written - known - configuration - others - {'--help', '--debug'}
        assert not unknown, f'{verb} has no {unknown}'

    def test_exit_codes(self) -> None:
        section = self.section('Exit codes')
        for code, _ in EXIT_CODES:
            assert f'``{code}``' in section
