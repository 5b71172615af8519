"""What Assignment 4 needs beside the lessons: its facts, its checks, its runs, and the check before hand-in."""
