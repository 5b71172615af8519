# Lessons, tests and tools in one place: `make help` lists the targets. Every target sets up `.venv` first if it has to.
PYTHON ?= python3
PROFILE ?= $(or $(COURSE_PROFILE),quick)
LESSONS ?= all
FOLDER ?=
LMS ?= canvas
JOBS ?= 1
SCHEDULER ?=
SUBMISSIONS ?= 40
FILE ?= work/assignment4/assignment4.ipynb

BIN := .venv/bin
OFFLINE := http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 \
           HTTP_PROXY=http://127.0.0.1:9 HTTPS_PROXY=http://127.0.0.1:9 \
           no_proxy=127.0.0.1,localhost NO_PROXY=127.0.0.1,localhost
TESTING := COURSE_PROFILE=quick COURSE_DATA=bundled OMP_NUM_THREADS=1 $(OFFLINE)

.DEFAULT_GOAL := help
.PHONY: help .venv run test test-grading seeds lab fresh teach check-submission release grade feedback export store lint weights bench clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | awk -F '\t' '{printf "make %-16s %s\n", $$1, $$2}'

.venv:
	@$(PYTHON) tools/bootstrap.py

run: .venv  ## execute the lessons into build/lessons; PROFILE=quick|full, LESSONS="01 04" or all
	@$(BIN)/python -m tools.lessons run --profile $(PROFILE) $(LESSONS)

test: .venv  ## check style, unit tests and every lesson against its stored outputs, without the network
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(TESTING) $(BIN)/python -m pytest tests notebooks --nbval --nbval-current-env -n 2 --dist loadfile -q --durations=15

test-grading: .venv  ## the marker's whole bank of hostile and odd submissions, without the network
	@COURSE_BANK=all $(TESTING) $(BIN)/python -m pytest tests -k "test_grading or test_marking or test_replay" -n 2 --dist loadfile -q --durations=15

seeds: .venv  ## execute every lesson with three other seeds, in the quick profile and without the network
	@for seed in 1 2 3; do $(TESTING) $(BIN)/python -m tools.lessons run --seed $$seed || exit 1; done

lab: .venv  ## open your copy of the lessons and the assignment in JupyterLab; FOLDER=notebooks opens the stored ones
	@$(BIN)/python -m tools.lab $(if $(FOLDER),--folder "$(FOLDER)") $(LABFLAGS)

fresh: .venv  ## give a lesson as it came and keep yours under another name; LESSONS="02 assignment4"
	@$(BIN)/python -m tools.working_copy $(filter-out all,$(LESSONS))

teach: .venv  ## open the course in JupyterLab with nbgrader's tools, for marking by hand
	@$(BIN)/python -m tools.lab --teach $(LABFLAGS)

check-submission: .venv  ## say what would cost points in your assignment for no good reason; FILE=notebook or its folder
	@$(BIN)/python -m course_utils.assignment.submission "$(FILE)" || test $$? -eq 1  # 1: it has said what would cost

release: .venv  ## make assignments/assignment4 from solutions/assignment4, and enter its points into the gradebook
	@$(BIN)/python -m grading.release

grade: .venv  ## mark what is new in submitted/, JOBS=2 at a time, and say what a person should look at
	@$(BIN)/python -m grading --jobs $(JOBS) $(if $(SCHEDULER),--scheduler $(SCHEDULER))

feedback: .venv  ## write a page for every marked student into feedback/: question, points, sentence, lesson to reread
	@$(BIN)/python -m grading.handback

export: .venv  ## marks as LMS=canvas or moodle imports them, and a zip of the feedback pages, into export/
	@$(BIN)/python -m grading.lms $(LMS)

store: .venv  ## execute the lessons in full on real data and keep the outputs in notebooks/; LESSONS as above
	@$(BIN)/python -m tools.lessons store $(LESSONS)
	@$(BIN)/python -m tools.pictures

lint: .venv  ## restore the style of code and notebooks
	@failed=0; \
	$(BIN)/ruff check --fix --quiet || failed=1; \
	$(BIN)/ruff format --quiet || failed=1; \
	$(BIN)/python -m tools.normal_form --write || failed=1; \
	$(BIN)/python -m tools.pictures || failed=1; \
	exit $$failed

weights: .venv  ## train the weights that come with the course, from data on disk; NAMES="mnist-2d" or all
	@$(BIN)/python -m tools.weights $(NAMES)

bench: .venv  ## the lecture's recipe beside ours, stock nbgrader beside ours (SUBMISSIONS=40), what students wait for
	@$(BIN)/python -m benchmarks.waits
	@$(BIN)/python -m benchmarks.recipes
	@$(BIN)/python -m benchmarks.marking --submissions $(SUBMISSIONS)

clean:  ## remove build/ and caches; data/ and .venv stay
	@rm -rf build .pytest_cache .ruff_cache .hypothesis
	@find . \( -path ./.venv -o -path ./.git -o -path ./data \) -prune -o \
	  -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -print | xargs rm -rf
